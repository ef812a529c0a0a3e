package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// verb is what a completion script knows about one command.
type verb struct {
	name, help string
	flags      []*kong.Flag
}

// Run prints a script made from the grammar. It is static: it needs no eider
// to complete.
func (c *completionCmd) Run(t *terminal, app *kong.Application) error {
	verbs := verbsOf(app)
	script := map[string]func(io.Writer, []verb){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	if t.json {
		var text strings.Builder
		script(&text, verbs)
		return t.print(map[string]string{"shell": c.Shell, "script": text.String()})
	}
	script(t.out, verbs)
	return nil
}

func verbsOf(app *kong.Application) []verb {
	var verbs []verb
	for _, n := range app.Leaves(true) {
		v := verb{name: strings.TrimPrefix(n.FullPath(), app.Name+" "), help: n.Help}
		for _, group := range n.AllFlags(true) {
			v.flags = append(v.flags, group...)
		}
		verbs = append(verbs, v)
	}
	return verbs
}

// flagWords are the flags of a verb as words: --name, and -x where there is
// one.
func flagWords(v verb) string {
	var words []string
	for _, f := range v.flags {
		words = append(words, "--"+f.Name)
		if f.Short != 0 {
			words = append(words, "-"+string(f.Short))
		}
	}
	return strings.Join(words, " ")
}

func verbNames(verbs []verb) string {
	names := make([]string, len(verbs))
	for i, v := range verbs {
		names[i] = v.name
	}
	return strings.Join(names, " ")
}

func bashCompletion(w io.Writer, verbs []verb) {
	fmt.Fprintf(w, `# bash completion for eider: source it, or save it in /etc/bash_completion.d/eider
_eider() {
  local word=${COMP_WORDS[COMP_CWORD]} flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "%s" -- "$word"))
    return
  fi
  case "${COMP_WORDS[1]}" in
`, verbNames(verbs))
	for _, v := range verbs {
		fmt.Fprintf(w, "    %s) flags=\"%s\" ;;\n", v.name, flagWords(v))
	}
	fmt.Fprint(w, `  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) compopt -o default 2>/dev/null; COMPREPLY=() ;;
  esac
}
complete -F _eider eider
`)
}

func zshCompletion(w io.Writer, verbs []verb) {
	fmt.Fprint(w, "#compdef eider\n# zsh completion for eider: save it as _eider in a directory of $fpath\n_eider() {\n  local -a verbs\n  verbs=(\n")
	quote := strings.NewReplacer(`'`, `'\''`, `:`, `\:`, `[`, `\[`, `]`, `\]`)
	for _, v := range verbs {
		fmt.Fprintf(w, "    '%s:%s'\n", v.name, quote.Replace(v.help))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then\n    _describe 'command' verbs\n    return\n  fi\n  case \"${words[2]}\" in\n")
	for _, v := range verbs {
		fmt.Fprintf(w, "    %s) _arguments", v.name)
		for _, f := range v.flags {
			value := ":value:_files"
			if f.IsBool() {
				value = ""
			}
			fmt.Fprintf(w, " \\\n      '--%s[%s]%s'", f.Name, quote.Replace(f.Help), value)
		}
		fmt.Fprint(w, " \\\n      '*:file:_files' ;;\n")
	}
	fmt.Fprint(w, "  esac\n}\n_eider \"$@\"\n")
}

func fishCompletion(w io.Writer, verbs []verb) {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	fmt.Fprint(w, "# fish completion for eider: save it in ~/.config/fish/completions/eider.fish\n")
	for _, v := range verbs {
		fmt.Fprintf(w, "complete -c eider -n __fish_use_subcommand -a %s -d '%s'\n", v.name, quote.Replace(v.help))
		for _, f := range v.flags {
			fmt.Fprintf(w, "complete -c eider -n '__fish_seen_subcommand_from %s' -l %s", v.name, f.Name)
			if f.Short != 0 {
				fmt.Fprintf(w, " -s %c", f.Short)
			}
			if !f.IsBool() {
				fmt.Fprint(w, " -r")
			}
			fmt.Fprintf(w, " -d '%s'\n", quote.Replace(f.Help))
		}
	}
}
