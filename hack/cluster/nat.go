package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// By default a cluster reaches its host and nothing else, and nothing of the host is changed. With "up --nat" it reaches
// whatever the host reaches, for pulling images above all: that takes forwarding and address translation on the host.

const forwardingFile = "/proc/sys/net/ipv4/ip_forward"

// enableNAT lets the cluster out through the host.
func enableNAT(p paths, s *state) error {
	was, err := os.ReadFile(forwardingFile)
	if err != nil {
		return err
	}
	s.Network.ForwardingWas = strings.TrimSpace(string(was))
	if err := s.save(p); err != nil {
		return err
	}
	n := s.Network
	rules := fmt.Sprintf(`table ip %[1]s {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr { %[2]s, %[3]s } oifname != %[1]q masquerade
	}
}
`, n.Link, n.Subnet, n.Pods)
	if err := nft(rules, "-f", "-"); err != nil {
		return fmt.Errorf("cannot set up address translation: %w", err)
	}
	return os.WriteFile(forwardingFile, []byte("1"), 0)
}

// disableNAT undoes it, in whatever state it is.
func disableNAT(s *state) error {
	if s.Network.ForwardingWas == "" {
		return nil
	}
	// Adding the table first makes deleting it work even when it is not there.
	table := "table ip " + s.Network.Link
	if err := nft("add "+table+"\ndelete "+table+"\n", "-f", "-"); err != nil {
		return err
	}
	if s.Network.ForwardingWas != "0" {
		return nil
	}
	// Another cluster may need it still. It then finds it on, and leaves it on: better than cutting somebody else off.
	program, err := findProgram("nft")
	if err != nil {
		return err
	}
	tables, err := exec.Command(program, "list", "tables", "ip").Output()
	if err == nil && strings.Contains(string(tables), "table ip cox") {
		return nil
	}
	return os.WriteFile(forwardingFile, []byte("0"), 0)
}

func nft(input string, args ...string) error {
	program, err := findProgram("nft")
	if err != nil {
		return err
	}
	c := exec.Command(program, args...)
	c.Stdin = strings.NewReader(input)
	if output, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// upstreamResolvers lists the name servers that the host asks, as far as a cluster can ask them: one on the host's loopback
// address is out of its reach.
func upstreamResolvers() ([]string, error) {
	for _, file := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if servers := resolversIn(string(content)); len(servers) > 0 {
			return servers, nil
		}
	}
	return nil, errors.New("--nat: every name server in /etc/resolv.conf is on a loopback address, which a cluster cannot reach; name another one there")
}

func resolversIn(content string) []string {
	var servers []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err == nil && address.Is4() && !address.IsLoopback() {
			servers = append(servers, address.String())
		}
	}
	return servers
}
