package main

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// table is the one nftables table that is ours. It is replaced whole, in one transaction.
const table = "p861_network_policy"

// endpoint is a pod as the rules see it.
type endpoint struct {
	pod     *corev1.Pod
	address netip.Addr
}

// world is everything that the rules depend on.
type world struct {
	namespaces map[string]labels.Set
	endpoints  []endpoint
	policies   []*networkingv1.NetworkPolicy
}

// render gives the nftables script that enforces the world's policies, the same text for the same world.
//
// Semantics are those of networking.k8s.io/v1: a pod that no policy selects for a direction is open in it; one that is selected is open
// only to what some rule of some selecting policy names; a pod always reaches itself; the node always reaches its pods.
func render(w world) (string, error) {
	sort.Slice(w.endpoints, func(i, j int) bool { return w.endpoints[i].address.Less(w.endpoints[j].address) })
	sort.Slice(w.policies, func(i, j int) bool {
		a, b := w.policies[i], w.policies[j]
		return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
	})
	var chains strings.Builder
	var ingress, egress []string
	for _, e := range w.endpoints {
		for _, d := range []direction{inward, outward} {
			rules, isolated, err := w.rules(e, d)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := fmt.Sprintf("%s_%s", d.word, strings.ReplaceAll(e.address.String(), ".", "_"))
			fmt.Fprintf(&chains, "  chain %s {\n    comment \"%s/%s\"\n", chain, e.pod.Namespace, e.pod.Name)
			fmt.Fprintf(&chains, "    ip %s %s return\n", d.peer, e.address)
			for _, rule := range rules {
				fmt.Fprintf(&chains, "    %sreturn\n", rule)
			}
			chains.WriteString("    reject with icmpx admin-prohibited\n  }\n")
			element := fmt.Sprintf("%s : jump %s", e.address, chain)
			if d == inward {
				ingress = append(ingress, element)
			} else {
				egress = append(egress, element)
			}
		}
	}
	var script strings.Builder
	// "add" first, so that "delete" succeeds on a fresh node too.
	fmt.Fprintf(&script, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table)
	script.WriteString(chains.String())
	writeMap(&script, "ingress", ingress)
	writeMap(&script, "egress", egress)
	script.WriteString(`  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    meta nfproto ipv6 drop
    ip saddr vmap @egress
    ip daddr vmap @ingress
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    ip saddr vmap @egress
  }
}
`)
	return script.String(), nil
}

func writeMap(script *strings.Builder, name string, elements []string) {
	fmt.Fprintf(script, "  map %s {\n    type ipv4_addr : verdict\n", name)
	if len(elements) > 0 {
		fmt.Fprintf(script, "    elements = { %s }\n", strings.Join(elements, ", "))
	}
	script.WriteString("  }\n")
}

// direction is ingress or egress: which address of a packet is the peer's.
type direction struct {
	word string
	kind networkingv1.PolicyType
	peer string
}

var (
	inward  = direction{word: "in", kind: networkingv1.PolicyTypeIngress, peer: "saddr"}
	outward = direction{word: "out", kind: networkingv1.PolicyTypeEgress, peer: "daddr"}
)

// rules gives the matches that are open to the endpoint in the direction, and whether any policy isolates it there.
func (w world) rules(e endpoint, d direction) ([]string, bool, error) {
	var rules []string
	isolated := false
	for _, policy := range w.policies {
		if policy.Namespace != e.pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, d.kind) {
			continue
		}
		selected, err := matches(&policy.Spec.PodSelector, labels.Set(e.pod.Labels))
		if err != nil {
			return nil, false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		if !selected {
			continue
		}
		isolated = true
		add := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
			found, err := w.rule(policy.Namespace, e, d, peers, ports)
			rules = append(rules, found...)
			return err
		}
		if d == inward {
			for _, rule := range policy.Spec.Ingress {
				err = add(rule.From, rule.Ports)
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				err = add(rule.To, rule.Ports)
			}
		}
		if err != nil {
			return nil, false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
	}
	return rules, isolated, nil
}

// rule gives the matches of one rule of a policy.
func (w world) rule(namespace string, e endpoint, d direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) ([]string, error) {
	if len(peers) == 0 && d == inward || len(peers) == 0 && !hasName(ports) {
		return prefix("", portMatches(ports, e.pod)), nil
	}
	var rules []string
	var destinations []endpoint
	if len(peers) == 0 {
		destinations = w.endpoints
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			block := fmt.Sprintf("ip %s %s ", d.peer, peer.IPBlock.CIDR)
			if len(peer.IPBlock.Except) > 0 {
				block += fmt.Sprintf("ip %s != { %s } ", d.peer, strings.Join(peer.IPBlock.Except, ", "))
			}
			// A named port has no meaning for an address that is no pod's.
			if addr, err := netip.ParsePrefix(peer.IPBlock.CIDR); err != nil {
				return nil, err
			} else if addr.Addr().Is4() {
				rules = append(rules, prefix(block, portMatches(ports, e.pod))...)
			}
			continue
		}
		for _, other := range w.endpoints {
			selected, err := w.selects(peer, namespace, other.pod)
			if err != nil {
				return nil, err
			}
			if selected {
				destinations = append(destinations, other)
			}
		}
	}
	if d == inward {
		if len(destinations) > 0 {
			rules = append(rules, prefix(fmt.Sprintf("ip saddr %s ", addressSet(destinations)), portMatches(ports, e.pod))...)
		}
		return rules, nil
	}
	if !hasName(ports) {
		if len(destinations) > 0 {
			rules = append(rules, prefix(fmt.Sprintf("ip daddr %s ", addressSet(destinations)), portMatches(ports, nil))...)
		}
		return rules, nil
	}
	// On the way out a named port is the destination's, so every destination has its own numbers.
	for _, other := range destinations {
		rules = append(rules, prefix(fmt.Sprintf("ip daddr %s ", other.address), portMatches(ports, other.pod))...)
	}
	return rules, nil
}

func (w world) selects(peer networkingv1.NetworkPolicyPeer, namespace string, pod *corev1.Pod) (bool, error) {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false, nil
		}
	} else if selected, err := matches(peer.NamespaceSelector, w.namespaces[pod.Namespace]); err != nil || !selected {
		return false, err
	}
	if peer.PodSelector == nil {
		return true, nil
	}
	return matches(peer.PodSelector, labels.Set(pod.Labels))
}

func matches(selector *metav1.LabelSelector, set labels.Set) (bool, error) {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return parsed.Matches(set), nil
}

func addressSet(endpoints []endpoint) string {
	var addresses []string
	for _, e := range endpoints {
		addresses = append(addresses, e.address.String())
	}
	slices.Sort(addresses)
	return "{ " + strings.Join(slices.Compact(addresses), ", ") + " }"
}

func hasName(ports []networkingv1.NetworkPolicyPort) bool {
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Port != nil && p.Port.Type == intstr.String
	})
}

// portMatches gives one match per port; no ports at all means every port. Names are looked up in the pod that is the destination.
func portMatches(ports []networkingv1.NetworkPolicyPort, destination *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var found []string
	for _, port := range ports {
		protocol := "tcp"
		if port.Protocol != nil {
			protocol = strings.ToLower(string(*port.Protocol))
		}
		switch {
		case port.Port == nil:
			found = append(found, fmt.Sprintf("meta l4proto %s ", protocol))
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			found = append(found, fmt.Sprintf("%s dport %d-%d ", protocol, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			found = append(found, fmt.Sprintf("%s dport %d ", protocol, port.Port.IntVal))
		case destination != nil:
			for _, container := range destination.Spec.Containers {
				for _, named := range container.Ports {
					if named.Name == port.Port.StrVal && strings.EqualFold(string(named.Protocol), protocol) {
						found = append(found, fmt.Sprintf("%s dport %d ", protocol, named.ContainerPort))
					}
				}
			}
		}
	}
	return found
}

func prefix(text string, matches []string) []string {
	var all []string
	for _, match := range matches {
		all = append(all, text+match)
	}
	return all
}
