// Command network-policy enforces a site's NetworkPolicies on its one node, with nftables.
//
// It is two programs. As an agent it watches pods, namespaces and policies and replaces its nftables table when something changes. As
// a CNI plugin, chained after the one that gives a pod its address, it tells the agent that address and returns when the rules hold: so
// no pod sends or receives a packet before its policies are in force.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	if command := os.Getenv("CNI_COMMAND"); command != "" {
		os.Exit(plugin(command, os.Stdin, os.Stdout))
	}
	kubeconfig := flag.String("kubeconfig", "", "the `file` that says how to reach the API server")
	socket := flag.String("socket", "", "the unix socket to `listen` on for the CNI plugin and for GET /healthz")
	nft := flag.String("nft", "nft", "the nftables `program`")
	flag.Parse()
	if *kubeconfig == "" || *socket == "" {
		log.Fatal("both --kubeconfig and --socket are needed")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *socket, *nft); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, socket, nft string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	agent := &agent{
		client:     client,
		nft:        nft,
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
		reported:   map[podName]report{},
		changed:    make(chan struct{}, 1),
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { agent.wake() },
		UpdateFunc: func(any, any) { agent.wake() },
		DeleteFunc: func(any) { agent.wake() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return errors.New("stopped before the first list of " + kind.String())
		}
	}
	// The socket appears after the first rules hold: whoever can connect finds them in force.
	if err := agent.apply(); err != nil {
		return err
	}
	return agent.serve(ctx, socket)
}

func (a *agent) serve(ctx context.Context, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("POST /pods", a.podsAdd)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Printf("rules are in force; listening on %s", socket)
	for {
		select {
		case <-ctx.Done():
			return server.Close()
		case err := <-failed:
			return err
		case <-a.changed:
			if err := a.apply(); err != nil {
				log.Printf("the rules in force are the older ones: %v", err)
				time.AfterFunc(time.Second, a.wake)
			}
		}
	}
}
