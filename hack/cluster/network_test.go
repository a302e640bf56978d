package main

import (
	"net/netip"
	"slices"
	"testing"
)

func TestSlotsDoNotOverlap(t *testing.T) {
	var all []netip.Prefix
	for slot := range slots {
		plan := planNetwork(slot, "0123456789abcdef")
		if !plan.free(all) {
			t.Fatalf("slot %d overlaps with an earlier one", slot)
		}
		for _, cidr := range []string{plan.Subnet, plan.Pods, plan.Services} {
			prefix := netip.MustParsePrefix(cidr)
			if slices.ContainsFunc(all, prefix.Overlaps) {
				t.Fatalf("slot %d: %s overlaps", slot, cidr)
			}
			all = append(all, prefix)
		}
		if plan.free(all) {
			t.Fatalf("slot %d does not overlap with itself", slot)
		}
		link := netip.MustParsePrefix(plan.Subnet)
		for _, address := range []string{plan.Host, plan.Node} {
			if !link.Contains(netip.MustParseAddr(address)) {
				t.Errorf("%s is not in %s", address, link)
			}
		}
		if !netip.MustParsePrefix(plan.Services).Contains(netip.MustParseAddr(plan.DNS)) {
			t.Errorf("%s is not in %s", plan.DNS, plan.Services)
		}
	}
}

func TestSlotAvoidsTheHostsRanges(t *testing.T) {
	plan := planNetwork(0, "0123456789abcdef")
	for cidr, free := range map[string]bool{
		"10.0.0.0/8":       false, // a VPN that routes all of it
		"10.200.0.0/16":    false,
		"10.200.3.4/32":    false,
		"10.200.255.1/32":  false,
		"10.200.130.0/24":  false,
		"10.201.0.0/16":    true,
		"192.168.0.0/16":   true,
		"10.200.64.0/20":   true, // in the same /16, but nothing of ours is there
		"172.17.0.0/16":    true,
		"10.200.254.0/24":  true,
		"10.200.255.4/30":  true,
		"10.200.128.10/32": false,
	} {
		if plan.free([]netip.Prefix{netip.MustParsePrefix(cidr)}) != free {
			t.Errorf("%s: free should be %v", cidr, free)
		}
	}
}

func TestNamesFitTheKernel(t *testing.T) {
	plan := planNetwork(slots-1, newInstance())
	for _, name := range []string{plan.Link, plan.peer()} {
		if len(name) > 15 {
			t.Errorf("%q is too long for an interface", name)
		}
	}
	if plan.Link == plan.peer() {
		t.Error("both ends have the same name")
	}
}

func TestAddressIn(t *testing.T) {
	for _, c := range []struct {
		cidr string
		n    int
		want string
	}{{"10.96.0.0/16", 1, "10.96.0.1"}, {"10.200.128.0/20", 10, "10.200.128.10"}, {"10.0.0.0/8", 256, "10.0.1.0"}} {
		if got := addressIn(c.cidr, c.n); got != c.want {
			t.Errorf("%s, %d: %s, want %s", c.cidr, c.n, got, c.want)
		}
	}
}

func TestResolversIn(t *testing.T) {
	got := resolversIn("# a comment\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\nsearch x\nnameserver\nnameserver 9.9.9.9\n")
	if !slices.Equal(got, []string{"192.0.2.1", "9.9.9.9"}) {
		t.Errorf("got %v", got)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	p, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	all := []int{p.Etcd, p.EtcdPeer, p.EtcdMetrics, p.APIServer, p.ControllerManager, p.Scheduler}
	slices.Sort(all)
	if len(slices.Compact(all)) != 6 || all[0] < 14000 || all[5] >= 30000 {
		t.Errorf("%+v", p)
	}
}
