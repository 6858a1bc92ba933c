//go:build !race

package spend

const slower = 1
