package config

import "testing"

func TestSamples(t *testing.T) {
	cfg, err := Load("../../configs/vaultsync.yaml", Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range cfg.Vaults {
		names = append(names, v.Name)
	}
	t.Logf("%+v %v", cfg, names)
}
