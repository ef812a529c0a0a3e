package main

import (
	"fmt"
	"io"
	"slices"
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

// levels are the first words of the verbs, each once, and by first word the second
// words of verbs that have one.
func levels(verbs []verb) (first []string, second map[string][]string) {
	second = map[string][]string{}
	for _, v := range verbs {
		group, word, ok := strings.Cut(v.name, " ")
		if !slices.Contains(first, group) {
			first = append(first, group)
		}
		if ok {
			second[group] = append(second[group], word)
		}
	}
	return first, second
}

// pattern matches the first two words of a command line, for bash and zsh.
func (v verb) pattern() string {
	if strings.Contains(v.name, " ") {
		return "'" + v.name + "'"
	}
	return "'" + v.name + " '*"
}

func bashCompletion(w io.Writer, verbs []verb) {
	first, second := levels(verbs)
	fmt.Fprintf(w, `# bash completion for eider: source it, or save it in /etc/bash_completion.d/eider
_eider() {
  local word=${COMP_WORDS[COMP_CWORD]} flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "%s" -- "$word"))
    return
  fi
  case "$COMP_CWORD ${COMP_WORDS[1]}" in
`, strings.Join(first, " "))
	for _, group := range sortedNames(second) {
		fmt.Fprintf(w, "    '2 %s') COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); return ;;\n", group, strings.Join(second[group], " "))
	}
	fmt.Fprint(w, "  esac\n  case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n")
	for _, v := range verbs {
		fmt.Fprintf(w, "    %s) flags=\"%s\" ;;\n", v.pattern(), flagWords(v))
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
	first, second := levels(verbs)
	fmt.Fprint(w, "#compdef eider\n# zsh completion for eider: save it as _eider in a directory of $fpath\n_eider() {\n  local -a verbs\n  verbs=(\n")
	quote := strings.NewReplacer(`'`, `'\''`, `:`, `\:`, `[`, `\[`, `]`, `\]`)
	for _, name := range first {
		help := strings.Join(second[name], ", ")
		if i := slices.IndexFunc(verbs, func(v verb) bool { return v.name == name }); i >= 0 {
			help = verbs[i].help
		}
		fmt.Fprintf(w, "    '%s:%s'\n", name, quote.Replace(help))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then\n    _describe 'command' verbs\n    return\n  fi\n  case \"$CURRENT ${words[2]}\" in\n")
	for _, group := range sortedNames(second) {
		fmt.Fprintf(w, "    '3 %s') compadd %s; return ;;\n", group, strings.Join(second[group], " "))
	}
	fmt.Fprint(w, "  esac\n  case \"${words[2]} ${words[3]}\" in\n")
	for _, v := range verbs {
		fmt.Fprintf(w, "    %s) _arguments", v.pattern())
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
	_, second := levels(verbs)
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	fmt.Fprint(w, "# fish completion for eider: save it in ~/.config/fish/completions/eider.fish\n")
	for _, group := range sortedNames(second) {
		fmt.Fprintf(w, "complete -c eider -n __fish_use_subcommand -a %s -d '%s'\n", group, strings.Join(second[group], ", "))
	}
	for _, v := range verbs {
		group, word, nested := strings.Cut(v.name, " ")
		seen := "__fish_seen_subcommand_from " + group
		if nested {
			fmt.Fprintf(w, "complete -c eider -n '%s; and not __fish_seen_subcommand_from %s' -a %s -d '%s'\n", seen, strings.Join(second[group], " "), word, quote.Replace(v.help))
			seen += "; and __fish_seen_subcommand_from " + word
		} else {
			fmt.Fprintf(w, "complete -c eider -n __fish_use_subcommand -a %s -d '%s'\n", v.name, quote.Replace(v.help))
		}
		for _, f := range v.flags {
			fmt.Fprintf(w, "complete -c eider -n '%s' -l %s", seen, f.Name)
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
