// What Argo CD's notifications controller sends of an Application, by what its engine is made of: Go's text/template with
// sprig for templates, expr for triggers, and the same few steps around them. Only webhooks are known here.
//
// Standard input: {"data": [YAML of the ConfigMap's data, …], "secrets": {…}, "app": {…}}. Standard output: a list of
// requests. What the engine would log as an error goes to standard error.
//
// With Debian's packages: GO111MODULE=off GOPATH=/usr/share/gocode go build tests/connect/argo_render/main.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/antonmedv/expr"
	"gopkg.in/yaml.v3"
)

type input struct {
	Data    []string               `json:"data"`
	Secrets map[string]string      `json:"secrets"`
	App     map[string]interface{} `json:"app"`
}

type service struct {
	URL     string `yaml:"url"`
	Headers []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"headers"`
}

type webhook struct {
	Method string `yaml:"method"`
	Path   string `yaml:"path"`
	Body   string `yaml:"body"`
}

type notification struct {
	Webhook map[string]webhook `yaml:"webhook"`
}

type condition struct {
	When    string   `yaml:"when"`
	OncePer string   `yaml:"oncePer"`
	Send    []string `yaml:"send"`
}

type subscription struct {
	Recipients []string `yaml:"recipients"`
	Triggers   []string `yaml:"triggers"`
}

// One request of the controller. It is left out where one with this `state` was sent for the Application before.
type request struct {
	State   string            `json:"state"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func main() {
	var in input
	fail(json.NewDecoder(os.Stdin).Decode(&in))
	config := map[string]string{}
	for _, text := range in.Data {
		fail(yaml.Unmarshal([]byte(text), &config))
	}
	context := map[string]string{}
	fail(yaml.Unmarshal([]byte(config["context"]), &context))
	secrets := map[string][]byte{}
	for name, value := range in.Secrets {
		secrets[name] = []byte(value)
	}
	vars := map[string]interface{}{"app": in.App, "context": context, "secrets": secrets}
	requests := []request{}
	var subscriptions []subscription
	fail(yaml.Unmarshal([]byte(config["subscriptions"]), &subscriptions))
	for _, of := range subscriptions {
		for _, trigger := range of.Triggers {
			for _, recipient := range of.Recipients {
				requests = append(requests, notify(config, in.Secrets, vars, trigger, recipient)...)
			}
		}
	}
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	fail(output.Encode(requests))
}

func notify(config, secrets map[string]string, vars map[string]interface{}, trigger, recipient string) []request {
	var conditions []condition
	read(config, "trigger."+trigger, &conditions)
	var requests []request
	for index, one := range conditions {
		if is, _ := evaluate(one.When, vars).(bool); !is {
			continue
		}
		state := fmt.Sprintf("%s:[%d]:%s", trigger, index, recipient)
		if one.OncePer != "" {
			if value := evaluate(one.OncePer, vars); value != nil {
				state = fmt.Sprintf("%v:%s", value, state)
			}
		}
		requests = append(requests, render(config, secrets, vars, one.Send, recipient, state))
	}
	return requests
}

// An expression that cannot be evaluated is logged, and holds not.
func evaluate(text string, vars map[string]interface{}) interface{} {
	program, err := expr.Compile(text)
	fail(err)
	value, err := expr.Run(program, vars)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", text, err)
		return nil
	}
	return value
}

func render(config, secrets map[string]string, vars map[string]interface{}, names []string, recipient, state string) request {
	// `costwake`, or `costwake:channel`.
	name, channel, _ := strings.Cut(recipient, ":")
	given := map[string]interface{}{}
	for key, value := range vars {
		given[key] = value
	}
	given["serviceType"], given["recipient"] = name, channel
	var options service
	read(config, "service.webhook."+name, &options)
	made := request{State: state, Method: "GET", URL: secret(options.URL, secrets), Headers: map[string]string{}}
	for _, header := range options.Headers {
		made.Headers[header.Name] = secret(header.Value, secrets)
	}
	for _, of := range names {
		var sent notification
		read(config, "template."+of, &sent)
		made.Body = execute(sent.Webhook[name].Body, given)
		if method := sent.Webhook[name].Method; method != "" {
			made.Method = method
		}
		if path := execute(sent.Webhook[name].Path, given); path != "" {
			made.URL = strings.TrimRight(made.URL, "/") + "/" + strings.TrimLeft(path, "/")
		}
	}
	return made
}

func execute(text string, vars map[string]interface{}) string {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	parsed, err := template.New("").Funcs(functions).Parse(text)
	fail(err)
	var written bytes.Buffer
	fail(parsed.Execute(&written, vars))
	return written.String()
}

var key = regexp.MustCompile(`[$][\w-]+`)

func secret(text string, secrets map[string]string) string {
	return key.ReplaceAllStringFunc(text, func(name string) string {
		value, is := secrets[name[1:]]
		if !is {
			fmt.Fprintf(os.Stderr, "the Secret has no %s\n", name[1:])
			return name
		}
		return value
	})
}

func read(config map[string]string, name string, into interface{}) {
	text, is := config[name]
	if !is {
		fail(fmt.Errorf("the ConfigMap has no %s", name))
	}
	fail(yaml.Unmarshal([]byte(text), into))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
