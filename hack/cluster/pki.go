package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// authority signs certificates. Each purpose has its own: whoever has a Kubernetes certificate must not get into etcd,
// nor pass for the API server's front proxy.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// pair is a certificate and its key, PEM-encoded.
type pair struct {
	certificate, key []byte
}

const certificateLifetime = 10 * 365 * 24 * time.Hour

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: name})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, encodePEM("CERTIFICATE", der)}, nil
}

func certificateTemplate(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// An hour of slack: a clock that is set back must not lock anybody out.
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(certificateLifetime),
	}
}

// issue signs a certificate that serves both as a client's and, with hosts, as a server's.
func (a *authority) issue(user string, groups, hosts []string) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := certificateTemplate(pkix.Name{CommonName: user, Organization: groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return pair{}, err
	}
	encodedKey, err := encodeKey(key)
	return pair{encodePEM("CERTIFICATE", der), encodedKey}, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encodePEM("EC PRIVATE KEY", der), err
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writePKI makes every certificate and kubeconfig of a cluster. Nothing here ever leaves the machine.
func writePKI(p paths, s *state) error {
	dir := filepath.Join(p.dir(), "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var failed error
	write := func(name string, content []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("cannot write %s: %w", name, err)
		}
	}
	issue := func(a *authority, name, user string, groups, hosts []string) {
		one, err := a.issue(user, groups, hosts)
		write(name+".crt", one.certificate, err)
		write(name+".key", one.key, err)
	}

	ca, err := newAuthority("kubernetes")
	if err != nil {
		return err
	}
	etcdCA, err := newAuthority("etcd")
	if err != nil {
		return err
	}
	frontCA, err := newAuthority("front-proxy")
	if err != nil {
		return err
	}
	caKey, err := encodeKey(ca.key)
	write("ca.crt", ca.pem, nil)
	write("ca.key", caKey, err)
	write("etcd-ca.crt", etcdCA.pem, nil)
	write("front-proxy-ca.crt", frontCA.pem, nil)

	node := nodeAddress(s)
	issue(ca, "apiserver", "kube-apiserver", nil, []string{"localhost", "127.0.0.1", node, s.apiServiceIP(), "kubernetes",
		"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"})
	issue(ca, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", []string{"system:masters"}, nil)
	issue(ca, "serving", "localhost", nil, []string{"localhost", "127.0.0.1", node, s.nodeName()})
	issue(etcdCA, "etcd", "etcd", nil, []string{"localhost", "127.0.0.1"})
	issue(etcdCA, "etcd-client", "kube-apiserver", nil, nil)
	issue(frontCA, "front-proxy-client", "front-proxy-client", nil, nil)

	// The key that signs service account tokens.
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	saKey, err := encodeKey(sa)
	write("sa.key", saKey, err)
	public, err := x509.MarshalPKIXPublicKey(sa.Public())
	write("sa.pub", encodePEM("PUBLIC KEY", public), err)
	if failed != nil {
		return failed
	}

	users := []struct {
		file, user string
		groups     []string
	}{
		{p.kubeconfig(), "admin", []string{"system:masters"}},
		{filepath.Join(dir, "controller-manager.kubeconfig"), "system:kube-controller-manager", nil},
		{filepath.Join(dir, "scheduler.kubeconfig"), "system:kube-scheduler", nil},
	}
	if !s.ControlPlaneOnly {
		users = append(users, []struct {
			file, user string
			groups     []string
		}{
			{filepath.Join(dir, "kubelet.kubeconfig"), "system:node:" + s.nodeName(), []string{"system:nodes"}},
			{filepath.Join(dir, "proxy.kubeconfig"), "system:kube-proxy", nil},
			{filepath.Join(dir, "coredns.kubeconfig"), "system:coredns", nil},
		}...)
	}
	for _, u := range users {
		one, err := ca.issue(u.user, u.groups, nil)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(u.file, s, ca.pem, u.user, one); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig embeds the certificates, so that the file works wherever it is copied to on this machine.
func writeKubeconfig(file string, s *state, ca []byte, user string, one pair) error {
	name := "coxswain-" + s.Name
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: s.Server, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {ClientCertificateData: one.certificate, ClientKeyData: one.key}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user}},
		CurrentContext: name,
	}, file)
}
