#compdef captioner
# zsh completion of captioner: source <(captioner completion zsh)
_captioner() {
	local line files
	local -a shown
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			files=1
		else
			line=${line//:/\\:}
			shown+=("${line/$'\t'/:}")
		fi
	done < <("${words[1]}" __complete --describe -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	(( $#shown )) && _describe -V captioner shown
	if [[ -n $files ]] || (( ! $#shown )); then
		_files
	fi
}
if [[ "${funcstack[1]}" == _captioner ]]; then
	_captioner "$@"
else
	compdef _captioner captioner
fi
