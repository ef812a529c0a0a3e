//go:build race

package hnsw_test

const race = true
