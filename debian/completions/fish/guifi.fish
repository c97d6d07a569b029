# Completion of guifi: the commands that it would find, then whatever the command itself offers.

function __guifi_commands
    for file in /usr/bin/guifi-* /usr/local/bin/guifi-*
        string replace -r '.*/guifi-' '' $file
    end
end

function __guifi_rest
    set -l words (commandline -opc)
    complete -C "guifi-"(string escape -- $words[2..-1] | string join ' ')" "(commandline -ct)
end

complete -c guifi -f
complete -c guifi -n __fish_is_first_arg -a '(__guifi_commands)'
complete -c guifi -n 'not __fish_is_first_arg' -a '(__guifi_rest)'
