package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// bootstrapNode makes the objects that a node's components need.
func bootstrapNode(ctx context.Context, client kubernetes.Interface, s *state) error {
	tolerate := func(err error) error {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	rbac := client.RbacV1()
	read := []string{"list", "watch"}
	_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "pods", "namespaces"}, Verbs: read},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
		},
	}, metav1.CreateOptions{})
	if err := tolerate(err); err != nil {
		return err
	}
	_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:coredns"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "system:coredns"}},
	}, metav1.CreateOptions{})
	if err := tolerate(err); err != nil {
		return err
	}

	// CoreDNS is not a pod, so the service has no selector and its endpoints are made here.
	labels := map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
	_, err = client.CoreV1().Services("kube-system").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns", Labels: labels},
		Spec: corev1.ServiceSpec{
			ClusterIP: s.Network.DNS,
			Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53},
			},
		},
	}, metav1.CreateOptions{})
	if err := tolerate(err); err != nil {
		return fmt.Errorf("cannot make the service kube-dns: %w", err)
	}
	ready := true
	port := int32(53)
	names := []string{"dns", "dns-tcp"}
	protocols := []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP}
	_, err = client.DiscoveryV1().EndpointSlices("kube-system").Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns", Labels: map[string]string{
			discoveryv1.LabelServiceName: "kube-dns", discoveryv1.LabelManagedBy: "coxswain-cluster",
		}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{s.Network.Node}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports: []discoveryv1.EndpointPort{
			{Name: &names[0], Protocol: &protocols[0], Port: &port},
			{Name: &names[1], Protocol: &protocols[1], Port: &port},
		},
	}, metav1.CreateOptions{})
	return tolerate(err)
}

// nodeUsable says whether the scheduler would place a pod on the node.
func nodeUsable(ctx context.Context, client kubernetes.Interface, s *state) error {
	node, err := client.CoreV1().Nodes().Get(ctx, s.nodeName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Errorf("the node is not ready: %s", condition.Message)
		}
	}
	// A new node carries the taint "not-ready" until the controller manager has seen that it is ready.
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("the node still has the taint %s", node.Spec.Taints[0].Key)
	}
	if node.Spec.PodCIDR == "" {
		return errors.New("the node has no range of pod addresses yet")
	}
	return nil
}
