package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "CANARY-271828"
	s := Secret(canary)
	holder := struct {
		One  Secret            `json:"one" yaml:"one"`
		More []Secret          `json:"more" yaml:"more"`
		ByID map[string]Secret `json:"byId" yaml:"byId"`
	}{s, []Secret{s}, map[string]Secret{"a": s}}
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		outputs["fmt "+verb] = fmt.Sprintf(verb, s)
		outputs["fmt pointer "+verb] = fmt.Sprintf(verb, &s)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		outputs["fmt struct "+verb] = fmt.Sprintf(verb, holder.One) + fmt.Sprintf(verb, holder.More) + fmt.Sprintf("%+v", holder)
	}
	outputs["Sprint"] = fmt.Sprint(s)
	outputs["String"] = s.String()
	outputs["error"] = errors.Join(fmt.Errorf("proxy %v", s)).Error()
	encode := func(name string, text []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		outputs[name] = string(text)
	}
	text, err := json.Marshal(holder)
	encode("json", text, err)
	text, err = yaml.Marshal(holder)
	encode("yaml", text, err)
	text, err = xml.Marshal(s)
	encode("xml", text, err)
	text, err = s.MarshalText()
	encode("text", text, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "s", s, "h", holder)
	outputs["slog json"] = log.String()
	log.Reset()
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "h", holder)
	outputs["slog text"] = log.String()
	for how, got := range outputs {
		if strings.Contains(got, canary) || strings.Contains(strings.ToLower(got), fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the secret: %s", how, got)
		}
		if !strings.Contains(got, "redacted") {
			t.Errorf("%s does not say that it was redacted: %s", how, got)
		}
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q", s.Reveal())
	}
}

// Whatever is wrong with it, a value where a secret may stand is not shown.
func TestProblemsShowNoSecret(t *testing.T) {
	t.Parallel()
	canaries := 0
	for _, name := range corpus(t, "bad_") {
		archive := readArchive(t, name)
		for _, file := range archive.Files {
			canaries += strings.Count(string(file.Data), "CANARY")
		}
		_, err := loadArchive(t, archive)
		if err != nil && strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if canaries < 6 {
		t.Errorf("only %d canaries in the corpus", canaries)
	}
}
