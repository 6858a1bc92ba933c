package main

import (
	"os"
	"strings"
	"testing"

	"tidings/internal/config"
)

func TestReadmeHasTheSettings(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), config.FlagTable()) {
		t.Errorf("README.md does not hold this table:\n%s", config.FlagTable())
	}
}
