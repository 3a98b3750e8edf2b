package main

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func pod(namespace, name, address string, set map[string]string) endpoint {
	return endpoint{
		pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: set},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
				{Name: "sql", ContainerPort: 5432, Protocol: corev1.ProtocolTCP},
			}}}},
		},
		address: netip.MustParseAddr(address),
	}
}

func policy(t *testing.T, namespace, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "policy"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRulesSayWhatThePolicyOpens(t *testing.T) {
	endpoints := func() []endpoint {
		return []endpoint{
			pod("one", "db", "10.0.0.2", map[string]string{"app": "db"}),
			pod("one", "web", "10.0.0.3", map[string]string{"app": "web"}),
			pod("two", "web", "10.0.0.4", map[string]string{"app": "web"}),
		}
	}
	namespaces := map[string]labels.Set{"one": {"name": "one"}, "two": {"name": "two"}}
	for _, c := range []struct {
		name, spec string
		in, out    string // the rules of db, joined with "; "; "open" when it is not isolated
	}{
		{"nothing selected", `{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress, Egress]}`, "open", "open"},
		{"all closed", `{podSelector: {}, policyTypes: [Ingress, Egress]}`, "", ""},
		{"one direction", `{podSelector: {}, policyTypes: [Egress]}`, "open", ""},
		{"everything open", `{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}`, "|", "open"},
		{"own namespace", `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]}`,
			"ip saddr { 10.0.0.2, 10.0.0.3 } |", "ip daddr { 10.0.0.2, 10.0.0.3 } |"},
		{"a pod of another namespace", `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: two}}, podSelector: {matchLabels: {app: web}}}]}]}`,
			"ip saddr { 10.0.0.4 } |", "open"},
		{"every namespace", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}`,
			"open", "ip daddr { 10.0.0.2, 10.0.0.3, 10.0.0.4 } udp dport 53 |ip daddr { 10.0.0.2, 10.0.0.3, 10.0.0.4 } tcp dport 53 |"},
		{"a block with a hole", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}]}]}`,
			"open", "ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16 } tcp dport 80-90 |"},
		{"a name on the way in is the pod's own", `{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: sql}]}]}`, "tcp dport 5432 |", "open"},
		{"a name on the way out is the destination's", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}`,
			"open", "ip daddr 10.0.0.3 tcp dport 5432 |"},
		{"no pod matches", `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]}`, "", "open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world{namespaces: namespaces, endpoints: endpoints(), policies: []*networkingv1.NetworkPolicy{policy(t, "one", c.spec)}}
			for d, want := range map[direction]string{inward: c.in, outward: c.out} {
				rules, isolated, err := w.rules(w.endpoints[0], d)
				if err != nil {
					t.Fatal(err)
				}
				got := "open"
				if isolated {
					got = ""
					for _, rule := range rules {
						got += rule + "|"
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", d.word, got, want)
				}
			}
		})
	}
}

func TestAPodOfAnotherNamespaceIsNotTouched(t *testing.T) {
	w := world{endpoints: []endpoint{pod("two", "web", "10.0.0.4", nil)}, policies: []*networkingv1.NetworkPolicy{policy(t, "one", `{podSelector: {}, policyTypes: [Ingress, Egress]}`)}}
	script, err := render(w)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(script, "10.0.0.4") {
		t.Error(script)
	}
}

func TestTheScriptIsTheSameForTheSameWorld(t *testing.T) {
	one := pod("one", "a", "10.0.0.2", nil)
	two := pod("one", "b", "10.0.0.10", nil)
	p := policy(t, "one", `{podSelector: {}, policyTypes: [Ingress, Egress]}`)
	a, _ := render(world{endpoints: []endpoint{one, two}, policies: []*networkingv1.NetworkPolicy{p}})
	b, _ := render(world{endpoints: []endpoint{two, one}, policies: []*networkingv1.NetworkPolicy{p}})
	if a != b || !strings.Contains(a, "10.0.0.2 : jump in_10_0_0_2, 10.0.0.10 : jump in_10_0_0_10") {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestAFinishedOrHostNetworkPodHasNoAddress(t *testing.T) {
	p := &corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.9", Phase: corev1.PodRunning}}
	if _, ok := podAddress(p); !ok {
		t.Error("a running pod has an address")
	}
	p.Status.Phase = corev1.PodSucceeded
	if _, ok := podAddress(p); ok {
		t.Error("a finished pod gave its address back")
	}
	p.Status.Phase, p.Spec.HostNetwork = corev1.PodRunning, true
	if _, ok := podAddress(p); ok {
		t.Error("a host-network pod has its node's address")
	}
}
