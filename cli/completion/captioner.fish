# fish completion of captioner: captioner completion fish | source
function __captioner_complete
	set -l words (commandline -opc)
	set -e words[1]
	set -l found (captioner __complete --describe -- $words (commandline -ct) 2>/dev/null)
	set -l files 0
	for line in $found
		if test "$line" = :files
			set files 1
		else
			echo $line
		end
	end
	if test $files = 1 -o (count $found) = 0
		__fish_complete_path (commandline -ct)
	end
end
complete -c captioner -f -a '(__captioner_complete)'
