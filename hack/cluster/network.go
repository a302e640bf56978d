package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// A full cluster's network: one network namespace for everything in it, and a pair of linked interfaces to the host.
// The host routes the cluster's pods and services through that link, so that both sides reach each other; kube-proxy's
// rules live in the namespace and vanish with it. Nothing of the host's firewall or of its settings is touched.

// network is the addresses of one cluster.
type network struct {
	Link     string `json:"link"`     // the host's end; named after the instance, so that it is nobody else's
	Host     string `json:"host"`     // the host's address on the link: where pods reach the host
	Node     string `json:"node"`     // the node's address on the link
	Subnet   string `json:"subnet"`   // of the link
	Pods     string `json:"pods"`     // where pods get their addresses from
	Services string `json:"services"` // where services get theirs from
	DNS      string `json:"dns"`      // the service kube-dns

	// With --nat: the name servers of the outside, and the host's setting to go back to.
	Resolvers     []string `json:"resolvers,omitempty"`
	ForwardingWas string   `json:"forwardingWas,omitempty"`
}

// Each cluster takes one /16 of these. They are not among the usual ones of Kubernetes distributions, Docker and clouds.
const (
	firstSlot = 200 // 10.200.0.0/16
	slots     = 48
)

// planNetwork says which addresses a slot has.
func planNetwork(slot int, instance string) network {
	prefix := fmt.Sprintf("10.%d", firstSlot+slot)
	return network{
		Link:     "cox" + instance[:10], // the kernel allows 15 characters
		Subnet:   prefix + ".255.0/30",
		Host:     prefix + ".255.1",
		Node:     prefix + ".255.2",
		Pods:     prefix + ".0.0/20",
		Services: prefix + ".128.0/20",
		DNS:      prefix + ".128.10",
	}
}

func (n *network) peer() string { return "p" + n.Link[1:] }

// addressIn returns the n-th address of a range.
func addressIn(cidr string, n int) string {
	address := netip.MustParsePrefix(cidr).Addr()
	for range n {
		address = address.Next()
	}
	return address.String()
}

// free says whether none of the network's ranges overlaps with one that the host uses.
func (n *network) free(used []netip.Prefix) bool {
	for _, cidr := range []string{n.Subnet, n.Pods, n.Services} {
		for _, u := range used {
			if netip.MustParsePrefix(cidr).Overlaps(u) {
				return false
			}
		}
	}
	return true
}

// hostRanges lists what the host has addresses in or routes to, except for the default route.
func hostRanges() ([]netip.Prefix, error) {
	var used []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		address, ok := netip.AddrFromSlice(n.IP.To4())
		ones, _ := n.Mask.Size()
		if ok && ones > 0 {
			used = append(used, netip.PrefixFrom(address, ones).Masked())
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("cannot read the host's routes: %w", err)
	}
	for _, r := range routes {
		add(r.Dst)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("cannot read the host's addresses: %w", err)
	}
	for _, a := range addresses {
		add(a.IPNet)
	}
	return used, nil
}

// claimNetwork chooses addresses and makes the link. The kernel refuses a second route to the same range, which decides
// between two clusters that choose at the same time, whoever's they are.
func claimNetwork(p paths, s *state) error {
	used, err := hostRanges()
	if err != nil {
		return err
	}
	for slot := range slots {
		plan := planNetwork(slot, s.Instance)
		if !plan.free(used) {
			continue
		}
		// Saved before it exists: "down" must find it even if we are killed between the two.
		s.Network = &plan
		if err := s.save(p); err != nil {
			return err
		}
		err := makeLink(&plan)
		if err == nil {
			return nil
		}
		if removeErr := removeNetwork(s); removeErr != nil {
			return removeErr
		}
		if !errors.Is(err, syscall.EEXIST) {
			return err
		}
	}
	return fmt.Errorf("no free addresses: each of 10.%d.0.0/16 to 10.%d.0.0/16 overlaps with a route of this host; see \"ip route\"",
		firstSlot, firstSlot+slots-1)
}

// makeLink makes both ends of the link, and the host's routes through it.
func makeLink(n *network) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = n.Link
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: n.peer()}); err != nil {
		return fmt.Errorf("cannot make the link %s: %w", n.Link, err)
	}
	link, err := netlink.LinkByName(n.Link)
	if err != nil {
		return err
	}
	if err := addAddress(link, n.Host, n.Subnet); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, cidr := range []string{n.Pods, n.Services} {
		destination := mustParseCIDR(cidr)
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: destination, Gw: net.ParseIP(n.Node)}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("cannot route %s to the cluster: %w", cidr, err)
		}
	}
	return nil
}

// connectNetwork moves the other end of the link into the supervisor's network namespace.
func connectNetwork(s *state) error {
	link, err := netlink.LinkByName(s.Network.peer())
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsPid(link, s.Supervisor.PID); err != nil {
		return fmt.Errorf("cannot move the link into the cluster: %w", err)
	}
	return nil
}

// setUpInside configures the cluster's end. The supervisor calls it, in the cluster's network namespace.
func (n *network) setUpInside() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := netlink.LinkByName(n.peer())
	if err != nil {
		return fmt.Errorf("the link has not arrived: %w", err)
	}
	if err := netlink.LinkSetName(link, "eth0"); err != nil {
		return err
	}
	if err := addAddress(link, n.Node, n.Subnet); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(n.Host)}); err != nil {
		return fmt.Errorf("cannot add the default route: %w", err)
	}
	// Between pods, and between pods and the link.
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// removeNetwork removes the host's end; the other end and the routes go with it.
func removeNetwork(s *state) error {
	if err := disableNAT(s); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		link, err := netlink.LinkByName(s.Network.Link)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(link)
		}
		// The kernel may be removing it at this moment, because the namespace of its other end has just ended.
		if err != nil && !errors.Is(err, fs.ErrNotExist) && time.Now().After(deadline) {
			return fmt.Errorf("cannot remove the link %s: %w", s.Network.Link, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func addAddress(link netlink.Link, address, subnet string) error {
	n := mustParseCIDR(subnet)
	n.IP = net.ParseIP(address)
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: n}); err != nil {
		return fmt.Errorf("cannot give %s the address %s: %w", link.Attrs().Name, address, err)
	}
	return nil
}

func mustParseCIDR(cidr string) *net.IPNet {
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		panic(err)
	}
	return n
}
