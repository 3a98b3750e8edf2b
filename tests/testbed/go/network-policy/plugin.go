package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// pluginConfig is this plugin's part of the CNI configuration, with the result of the plugin before it.
type pluginConfig struct {
	CNIVersion string          `json:"cniVersion"`
	Socket     string          `json:"socket"`
	PrevResult json.RawMessage `json:"prevResult"`
}

// plugin carries out one CNI command and gives the exit code. Errors go to standard output in CNI's own form.
func plugin(command string, in io.Reader, out io.Writer) int {
	var config pluginConfig
	if err := json.NewDecoder(in).Decode(&config); err != nil {
		return fail(out, "", 6, err)
	}
	switch command {
	case "VERSION":
		fmt.Fprintln(out, `{"cniVersion":"1.0.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0"]}`)
	case "ADD":
		if err := announcePod(config, os.Getenv("CNI_ARGS")); err != nil {
			return fail(out, config.CNIVersion, 11, err)
		}
		fmt.Fprintln(out, string(config.PrevResult))
	case "CHECK", "DEL", "GC", "STATUS":
		// The agent learns from the API server that a pod is gone.
	default:
		return fail(out, config.CNIVersion, 4, fmt.Errorf("CNI_COMMAND is %q", command))
	}
	return 0
}

func announcePod(config pluginConfig, arguments string) error {
	var result struct {
		IPs []struct {
			Address string `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(config.PrevResult, &result); err != nil {
		return fmt.Errorf("the result of the plugin before this one: %w", err)
	}
	said := announcement{}
	for _, pair := range strings.Split(arguments, ";") {
		switch key, value, _ := strings.Cut(pair, "="); key {
		case "K8S_POD_NAMESPACE":
			said.Namespace = value
		case "K8S_POD_NAME":
			said.Name = value
		}
	}
	for _, ip := range result.IPs {
		if prefix, err := netip.ParsePrefix(ip.Address); err == nil && prefix.Addr().Is4() {
			said.Address = prefix.Addr().String()
		}
	}
	if said.Namespace == "" || said.Name == "" || said.Address == "" {
		return fmt.Errorf("no pod name or no IPv4 address in CNI_ARGS %q and result %s", arguments, config.PrevResult)
	}
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	client := http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", config.Socket)
		}},
	}
	response, err := client.Post("http://agent/pods", "application/json", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the network-policy agent does not answer, so the pod must not start: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("the network-policy agent refused the pod: %s", text)
	}
	return nil
}

func fail(out io.Writer, version string, code int, err error) int {
	_ = json.NewEncoder(out).Encode(map[string]any{"cniVersion": version, "code": code, "msg": err.Error()})
	return 1
}
