# bash completion of captioner: source <(captioner completion bash)
_captioner() {
	local cur line words found files= width=0 list i IFS
	# Words as they were typed: bash itself cuts them at = and : too.
	IFS=$' \t\n' read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
	[[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=("")
	cur=${words[${#words[@]} - 1]}
	COMPREPLY=()
	found=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then files=1; else found+=("$line"); fi
	done < <("${COMP_WORDS[0]}" __complete --describe -- "${words[@]:1}" 2>/dev/null)
	# What stands before the last = or : is there already.
	local cut=
	if [[ $cur == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]]; then cut=${cur%"${cur##*[=:]}"}; fi
	for i in "${!found[@]}"; do
		line=${found[i]%%$'\t'*}
		((${#line} > width)) && width=${#line}
	done
	for i in "${!found[@]}"; do
		line=${found[i]%%$'\t'*}
		line=${line#"$cut"}
		# Descriptions stand in the list alone: a single word is put into the line, and keys may go through all of them.
		if ((${#found[@]} > 1)) && [[ ${found[i]} == *$'\t'* && $COMP_TYPE != 37 && $COMP_TYPE != 42 ]]; then
			printf -v line '%-*s  (%s)' "$width" "$line" "${found[i]#*$'\t'}"
		fi
		COMPREPLY+=("$line")
	done
	if [[ -n $files ]]; then
		while IFS= read -r line; do
			[[ -d $line ]] && line+=/
			printf -v line %q "$line"
			COMPREPLY+=("$line")
		done < <(compgen -f -- "$cur")
	fi
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
	[[ ${#found[@]} -gt 0 ]] && compopt -o nosort 2>/dev/null
}
complete -o default -F _captioner captioner
