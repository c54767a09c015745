# fish completion of captioner: captioner completion fish | source
function __captioner_complete
	set -l words (commandline -opc)
	set -e words[1]
	captioner __complete -- $words (commandline -ct) 2>/dev/null
end
complete -c captioner -n 'count (__captioner_complete) >/dev/null' -f -a '(__captioner_complete)'
