# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_offwatch_global_optspecs
    string join \n h/help V/version
end

function __fish_offwatch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_offwatch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_offwatch_using_subcommand
    set -l cmd (__fish_offwatch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c offwatch -n "__fish_offwatch_needs_command" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_needs_command" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "top" -d 'Show what each VM uses, as virt-top does, and what offloads do for it'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "advise" -d 'Observe for a while and say what to change about offloads, or to leave them on'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "enforce" -d 'Keep offloads as a policy or an advice has them, with a way back'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "trial" -d 'Try a change on a live interface, measure what it does, and take it back'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "export" -d 'Offer what is counted to Prometheus (OpenMetrics)'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "fleet" -d 'Show VMs and advice of many hosts, from Prometheus'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "doctor" -d 'Tell what can be observed on this host, and why not'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "features" -d 'Tell which features interfaces have, and what keeps one off'
complete -c offwatch -n "__fish_offwatch_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s d -l interval -l delay -d 'Seconds between samples [default: 3]' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s n -l iterations -d 'Stop after this many intervals (0 or -1: never)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l vm -d 'Only VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l dev -d 'Only interfaces whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l hook -d 'How to count packets' -r -f -a "auto\t'The first of tp, raw and tc that works'
tp\t'BTF tracepoints'
raw\t'Raw tracepoints'
tc\t'tcx programs on every interface: 25 ms or so for each to start and to stop; sees no drops, and software work only where it is counted exactly'"
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l exact -d 'How to count software work where it is done' -r -f -a "auto\t'At each kernel function the first of fexit and kprobe that works'
fexit\t'fentry and fexit programs'
kprobe\t'Kernel probes'
off\t'Only derive it from what enters and leaves'"
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s c -l connect -d 'libvirt to ask for VMs; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l record -d 'Also append every sample to this file, compressed (- for stdout, as JSON lines)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l replay -d 'Read samples from a recording instead of this host (- for stdin)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l csv-long -d 'Also write a CSV row for each VM interface and interval to this file (- for stdout)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l color -d 'When to use colours on the screen' -r -f -a "auto\t'Unless the variable NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s o -l sort -d 'Sort by cpu, mem, time, id, name, netrx, nettx, blockrdrq or blockwrrq, or by gso, swseg, csum, pps, drops, cost or causes' -r -f -a "id\t''
name\t''
cpu\t''
mem\t''
time\t''
netrx\t''
nettx\t''
blockrdrq\t''
blockwrrq\t''
gso\t''
swseg\t''
csum\t''
pps\t''
drops\t''
cost\t''
causes\t''"
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l hist-cpu -d 'Seconds between the %CPU figures at the top right [default: 20]' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l csv -d 'Write virt-top\'s CSV to this file (- for stdout)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l end-time -d 'End then: \'YYYY-MM-DD HH:MM:SS\', HH:MM:SS, +HH:MM:SS or +SECONDS' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l debug -d 'Send errors and what libvirt says to this file' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l init-file -d 'Read this file instead of ~/.virt-toprc' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l once -d 'Print one interval and exit'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l stream -d 'Print every interval one after the other instead of a live screen: virt-top\'s text blocks, with -4 tables, with --json JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l json -d 'Print JSON: one object, or with --stream or -n one object a line'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l mouse -d 'Scroll and select with the mouse'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s 1 -d 'Start with physical CPUs'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s 2 -d 'Start with network cards'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s 3 -d 'Start with disks'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s 4 -d 'Start with what offloads do (not in virt-top)'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s b -l batch -d 'Ignore keys'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s r -l reverse -d 'Sort the other way round (not in virt-top)'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s s -l secure -d 'Does nothing'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l no-csv-cpu -d 'No CPU in the CSV'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l no-csv-mem -d 'No memory in the CSV'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l no-csv-block -d 'No disks in the CSV'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l no-csv-net -d 'No network cards in the CSV'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l block-in-bytes -d 'Bytes of disks instead of requests'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l script -d 'Print nothing; with --csv'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -l no-init-file -d 'Read no init file'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c offwatch -n "__fish_offwatch_using_subcommand top" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l window -d 'How long to observe, such as 30s or 2m; of a recording, how much of its end to look at [default: 30s; of a recording, its last run]' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l vm -d 'Only advice about VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l dev -d 'Only advice about interfaces whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l replay -d 'Evaluate a recording instead of this host (- for stdin)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l trial -d 'A trial as evidence, as `offwatch trial --json` printed it (may be given more than once)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l hook -d 'How to count packets' -r -f -a "auto\t'The first of tp, raw and tc that works'
tp\t'BTF tracepoints'
raw\t'Raw tracepoints'
tc\t'tcx programs on every interface: 25 ms or so for each to start and to stop; sees no drops, and software work only where it is counted exactly'"
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l exact -d 'How to count software work where it is done' -r -f -a "auto\t'At each kernel function the first of fexit and kprobe that works'
fexit\t'fentry and fexit programs'
kprobe\t'Kernel probes'
off\t'Only derive it from what enters and leaves'"
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -s c -l connect -d 'libvirt to ask for VMs; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l json -d 'Print JSON, as docs/advice.schema.json has it'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -l exit-code -d 'End with code 3 if there is something to do'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -f -a "explain" -d 'Print what is behind a rule, with its sources; without RULE list all'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and not __fish_seen_subcommand_from explain help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and __fish_seen_subcommand_from explain" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Print what is behind a rule, with its sources; without RULE list all'
complete -c offwatch -n "__fish_offwatch_using_subcommand advise; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l policy -d 'The policy [default: /etc/offwatch/policy.toml, unless --from is given]' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l from -d 'What `offwatch advise --json` printed (- for stdin): its changes are made, with --policy those that the policy names' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l confirm -d 'Take it back unless it is confirmed within this time, such as 120s or 2m; a plain number is seconds' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l vm -d 'Only VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l dev -d 'Only interfaces whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -s c -l connect -d 'libvirt to ask for VMs; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l dry-run -d 'Only tell what would be changed (the default)'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l apply -d 'Change it once, verify it, and take it back if anything else changes with it'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l watch -d 'Change it and keep it so: for new interfaces, and after each negotiation of a guest'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l detach -d 'Do not wait for the confirmation; the watchdog does'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l canary -d 'Change one interface first, then few, then all, and take it back if one fares worse than those that are not changed'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l write-xml -d 'Also change the definitions of VMs where only they decide; it takes effect at the next cold start'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -l exit-code -d 'End with code 3 if there is something to change; of --dry-run'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -f -a "confirm" -d 'Keep what was applied with --confirm'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -f -a "rollback" -d 'Take back what is not confirmed'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -f -a "status" -d 'Tell what was changed, and how it stands'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -f -a "undo" -d 'Take back what was confirmed: the last commit, or those named'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and not __fish_seen_subcommand_from confirm rollback status undo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from confirm" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from confirm" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from confirm" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from rollback" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from rollback" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from status" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from status" -l all -d 'All commits: otherwise the last 20 and those that can still be taken back; JSON has all'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from status" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from undo" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from undo" -l all -d 'All of them'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from undo" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from undo" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from undo" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Keep what was applied with --confirm'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Take back what is not confirmed'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from help" -f -a "status" -d 'Tell what was changed, and how it stands'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from help" -f -a "undo" -d 'Take back what was confirmed: the last commit, or those named'
complete -c offwatch -n "__fish_offwatch_using_subcommand enforce; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l vm -d 'The VM, all of whose interfaces are changed' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l dev -d 'The interface that is changed' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l set -d 'Features to switch, such as tso=off,gso=off: kernel\'s names or ethtool\'s' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l recipe -d 'Several changes, one after the other' -r -f -a "turn-it-off\t'What articles say: tso, gso, both, and sg off, one after the other'"
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l rounds -d 'Rounds, each of a period without the change and one with it: 4 to 1000' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l seconds -d 'Length of a period' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l settle -d 'Time between a change and the next period' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l max-loss -d 'End the trial if goodput falls by more than this' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l threshold -d 'Only tell of differences that are surely larger than this' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l load -d 'Send TCP to a listener at this address meanwhile: only in a network namespace of its own, to an interface that is no VM\'s' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l load-rate -d 'At most so many bits a second of it, such as 200M' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -s c -l connect -d 'libvirt to ask for VMs; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l state-dir -d 'Where the journal and the audit log are' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l no-change -d 'Change nothing: tells how much the host differs from itself'
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l own-session -d 'Also if the interface carries the session of the user who asks for it'
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -l json -d 'Print JSON, as docs/trial.schema.json has it'
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c offwatch -n "__fish_offwatch_using_subcommand trial" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l listen -d 'Address and port for scrapes: /metrics (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l textfile -d 'Write the metrics to this file (NAME.prom) at every interval, for the textfile collector of node_exporter; the file is replaced, never half written' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l top -d 'Only so many interfaces, those with the most of --sort; sums of all are there all the same (0: all)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l sort -d 'What --top ranks by: a key of `offwatch top`' -r -f -a "id\t''
name\t''
cpu\t''
mem\t''
time\t''
netrx\t''
nettx\t''
blockrdrq\t''
blockwrrq\t''
gso\t''
swseg\t''
csum\t''
pps\t''
drops\t''
cost\t''
causes\t''"
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l vm -d 'Only VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l dev -d 'Only interfaces whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -s d -l interval -d 'Seconds between samples where no scrape asks for one [default: 15]; with --once, for how long to observe [default: 1]' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l state-dir -d 'Directory of the journal of `enforce`' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l tls-cert -d 'Certificate chain, PEM: scrapes by https only' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l tls-key -d 'Its private key, PEM' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l token-file -d 'Scrapes must bring the token that this file holds (Authorization: Bearer)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l max-connections -d 'How many connections at once; further ones wait' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l hook -d 'How to count packets' -r -f -a "auto\t'The first of tp, raw and tc that works'
tp\t'BTF tracepoints'
raw\t'Raw tracepoints'
tc\t'tcx programs on every interface: 25 ms or so for each to start and to stop; sees no drops, and software work only where it is counted exactly'"
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l exact -d 'How to count software work where it is done' -r -f -a "auto\t'At each kernel function the first of fexit and kprobe that works'
fexit\t'fentry and fexit programs'
kprobe\t'Kernel probes'
off\t'Only derive it from what enters and leaves'"
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -s c -l connect -d 'libvirt to ask for VMs; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l replay -d 'The end of a recording instead of this host (- for stdin); with --once' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l once -d 'Print the metrics once, and exit'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l no-advice -d 'No advice: offwatch_advice is not there'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l bpf-stats -d 'Have the kernel time offwatch\'s BPF programs (some 20 ns more for each run of any BPF program on the host)'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -l insecure -d 'Listen also where others can reach it, without TLS and token'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c offwatch -n "__fish_offwatch_using_subcommand export" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and not __fish_seen_subcommand_from top advise help" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and not __fish_seen_subcommand_from top advise help" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and not __fish_seen_subcommand_from top advise help" -f -a "top" -d 'Rank the VMs of all hosts, as `top` does those of one'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and not __fish_seen_subcommand_from top advise help" -f -a "advise" -d 'List the advice of all hosts'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and not __fish_seen_subcommand_from top advise help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l prometheus -d 'Prometheus, such as http://prometheus:9090' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l token-file -d 'File with the token that it wants (Authorization: Bearer)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l ca-file -d 'Certificates to trust beside those of the system, PEM' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l host -d 'Only hosts whose name, or Prometheus\' instance, matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l vm -d 'Only VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l stale-after -d 'Time without a scrape after which a host is left out, and said to be stale (300s, 5m, 1h)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l remember -d 'Hosts that were seen within this time and are gone are told of' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l timeout -d 'Seconds to wait for an answer' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l dev -d 'Only interfaces whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l window -d 'Time that rates cover (120s, 2m, 1h); two scrapes must lie in it' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s o -l sort -d 'What VMs are ranked by: a key of `offwatch top`' -r -f -a "id\t''
name\t''
cpu\t''
mem\t''
time\t''
netrx\t''
nettx\t''
blockrdrq\t''
blockwrrq\t''
gso\t''
swseg\t''
csum\t''
pps\t''
drops\t''
cost\t''
causes\t''"
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l limit -d 'So many VMs (0: all)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s d -l interval -d 'Show it again every so many seconds' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s n -l iterations -d 'Stop after so many' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -l exit-code -d 'End with code 3 instead of 0 where the codes below say so'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s r -l reverse -d 'The other way around'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from top" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l prometheus -d 'Prometheus, such as http://prometheus:9090' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l token-file -d 'File with the token that it wants (Authorization: Bearer)' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l ca-file -d 'Certificates to trust beside those of the system, PEM' -r -F
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l host -d 'Only hosts whose name, or Prometheus\' instance, matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l vm -d 'Only VMs whose name matches (may be given more than once)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l stale-after -d 'Time without a scrape after which a host is left out, and said to be stale (300s, 5m, 1h)' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l remember -d 'Hosts that were seen within this time and are gone are told of' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l timeout -d 'Seconds to wait for an answer' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l exit-code -d 'End with code 3 instead of 0 where the codes below say so'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -l keep -d 'Also what is to be left as it is'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from advise" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "top" -d 'Rank the VMs of all hosts, as `top` does those of one'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "advise" -d 'List the advice of all hosts'
complete -c offwatch -n "__fish_offwatch_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand doctor" -s c -l connect -d 'libvirt to ask for VM names' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand doctor" -l json -d 'Print JSON'
complete -c offwatch -n "__fish_offwatch_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand features" -s c -l connect -d 'libvirt to ask for VM names; without it qemu:///system if it answers' -r
complete -c offwatch -n "__fish_offwatch_using_subcommand features" -l all -d 'Also print features that have no part in offloads, and those that are off for good'
complete -c offwatch -n "__fish_offwatch_using_subcommand features" -l json -d 'Print JSON: always all features'
complete -c offwatch -n "__fish_offwatch_using_subcommand features" -s h -l help -d 'Print help'
complete -c offwatch -n "__fish_offwatch_using_subcommand features" -s V -l version -d 'Print version'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "top" -d 'Show what each VM uses, as virt-top does, and what offloads do for it'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "advise" -d 'Observe for a while and say what to change about offloads, or to leave them on'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "enforce" -d 'Keep offloads as a policy or an advice has them, with a way back'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "trial" -d 'Try a change on a live interface, measure what it does, and take it back'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "export" -d 'Offer what is counted to Prometheus (OpenMetrics)'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "fleet" -d 'Show VMs and advice of many hosts, from Prometheus'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "doctor" -d 'Tell what can be observed on this host, and why not'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "features" -d 'Tell which features interfaces have, and what keeps one off'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and not __fish_seen_subcommand_from top advise enforce trial export fleet doctor features help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from advise" -f -a "explain" -d 'Print what is behind a rule, with its sources; without RULE list all'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from enforce" -f -a "confirm" -d 'Keep what was applied with --confirm'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from enforce" -f -a "rollback" -d 'Take back what is not confirmed'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from enforce" -f -a "status" -d 'Tell what was changed, and how it stands'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from enforce" -f -a "undo" -d 'Take back what was confirmed: the last commit, or those named'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from fleet" -f -a "top" -d 'Rank the VMs of all hosts, as `top` does those of one'
complete -c offwatch -n "__fish_offwatch_using_subcommand help; and __fish_seen_subcommand_from fleet" -f -a "advise" -d 'List the advice of all hosts'
