package main

import (
	"fmt"
	"os"
	"strings"
)

// maxInline bounds what a flag may read from a file.
const maxInline = 4 << 20

// inline is the text of a flag that may be given as @FILE.
func inline(flag string) ([]byte, error) {
	name, isFile := strings.CutPrefix(flag, "@")
	if !isFile {
		return []byte(flag), nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, failed(fmt.Sprintf("cannot read %s: %v", name, reason(err)), "check the path after @")
	}
	if info.Size() > maxInline {
		return nil, failed(fmt.Sprintf("%s has more than %s", name, bytesText(maxInline)), "give a smaller file")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, failed(fmt.Sprintf("cannot read %s: %v", name, reason(err)), "check the path after @")
	}
	return text, nil
}
