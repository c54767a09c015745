#compdef captioner
# zsh completion of captioner: source <(captioner completion zsh)
_captioner() {
	local -a found
	found=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "${found[1]}" ]]; then
		compadd -- "${found[@]}"
	else
		_files
	fi
}
if [[ "${funcstack[1]}" == _captioner ]]; then
	_captioner "$@"
else
	compdef _captioner captioner
fi
