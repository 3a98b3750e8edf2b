package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"os/exec"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

type podName struct{ namespace, name string }

// report is what the CNI plugin said about a pod whose status does not have the address yet.
type report struct {
	pod     *corev1.Pod
	address netip.Addr
	at      time.Time
}

type agent struct {
	client     kubernetes.Interface
	nft        string
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
	changed    chan struct{}

	mutex    sync.Mutex
	reported map[podName]report
	applied  string
	failure  error
}

// wake asks for new rules; several wishes before they are made become one.
func (a *agent) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// apply makes the rules of the present world and puts them in force in one transaction.
func (a *agent) apply() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.failure = a.applyLocked()
	return a.failure
}

func (a *agent) applyLocked() error {
	world, err := a.world()
	if err != nil {
		return err
	}
	script, err := render(world)
	if err != nil {
		return err
	}
	if script == a.applied {
		return nil
	}
	command := exec.Command(a.nft, "-f", "-")
	command.Stdin = bytes.NewReader([]byte(script))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", a.nft, err, output)
	}
	a.applied = script
	return nil
}

func (a *agent) world() (world, error) {
	w := world{namespaces: map[string]labels.Set{}}
	namespaces, err := a.namespaces.List(labels.Everything())
	if err != nil {
		return w, err
	}
	for _, namespace := range namespaces {
		w.namespaces[namespace.Name] = namespace.Labels
	}
	if w.policies, err = a.policies.List(labels.Everything()); err != nil {
		return w, err
	}
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		return w, err
	}
	seen := map[podName]*corev1.Pod{}
	for _, pod := range pods {
		seen[podName{pod.Namespace, pod.Name}] = pod
		if address, ok := podAddress(pod); ok {
			w.endpoints = append(w.endpoints, endpoint{pod, address})
		}
	}
	for name, report := range a.reported {
		pod, known := seen[name]
		switch {
		case known && pod.UID != report.pod.UID, !known && time.Since(report.at) > time.Minute:
			// The pod is gone. Before that minute it may only be that the watch is behind the plugin's own read.
			delete(a.reported, name)
		case known && pod.Status.PodIP != "":
			delete(a.reported, name)
		case known:
			w.endpoints = append(w.endpoints, endpoint{pod, report.address})
		default:
			w.endpoints = append(w.endpoints, endpoint{report.pod, report.address})
		}
	}
	return w, nil
}

// podAddress is the address that policies apply to: not one that the pod shares with its node, nor one it has given back.
func podAddress(pod *corev1.Pod) (netip.Addr, bool) {
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.Spec.HostNetwork || finished {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(pod.Status.PodIP)
	return address, err == nil && address.Is4()
}

// announcement is what the CNI plugin sends.
type announcement struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Address   string `json:"address"`
}

// podsAdd answers when the announced pod's rules hold.
func (a *agent) podsAdd(w http.ResponseWriter, r *http.Request) {
	var said announcement
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.announce(r.Context(), said); err != nil {
		log.Printf("pod %s/%s: %v", said.Namespace, said.Name, err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (a *agent) announce(ctx context.Context, said announcement) error {
	address, err := netip.ParseAddr(said.Address)
	if err != nil {
		return err
	}
	// Read from the API server, not from the watch: its labels decide, and the watch may not have seen the pod yet.
	pod, err := a.client.CoreV1().Pods(said.Namespace).Get(ctx, said.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	a.mutex.Lock()
	a.reported[podName{said.Namespace, said.Name}] = report{pod, address, time.Now()}
	a.mutex.Unlock()
	return a.apply()
}

func (a *agent) healthz(w http.ResponseWriter, _ *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.failure != nil {
		http.Error(w, a.failure.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
