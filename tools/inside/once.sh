# Runs $ONCE_COMMAND once in this desktop, however often and by whomever it is asked for, and
# prints its output; a line of stderr, `sentient:`, has its exit code, or `timeout`. Sent whole with each
# request, so that there is no copy of it that could be older. Everything that is decided here is
# an empty file, made at once or not at all.
#
# $1 folder of the call   $2 digest of what is to be done   $3 the mark of who may do it
# $4 seconds it may take  $5 bytes of output from either end, or `all`, printed while it runs
#                         (with a number, stderr gets the end of what is new twice a second)
# $6 journals that are kept   $7 where our programs are
#
# Where $SENTIENT_SECRETS names variables, no log has their values: what is printed goes through
# a program that withholds them.
#
# Exit codes of its own: 90 fenced off, 91 something else was done under this name, 92 it was
# begun and nobody knows how it ended, 93 it cannot be begun.
call=$1 digest=$2 mark=$3 seconds=$4 half=$5 kept=$6 programs=$7
watch() {
    local seen=0 size
    while sleep 0.5 > /dev/null 2>&1; do
        size=$(stat -c %s "$call/log")
        ((size > seen)) || continue
        tail -c "+$((size - seen > 2000 ? size - 1999 : seen + 1))" "$call/log" | head -c 2000 >&2
        seen=$size
    done
}
mkdir -p "$call" && exec 8>>"${call%/*}/.lock" 9>>"$call/alive" || exit 93
flock 8
[ -e "$mark" ] || exit 90
if compgen -G "$call/intent.*" > /dev/null; then
    [ -e "$call/intent.$digest" ] || exit 91
    flock -u 8
    flock 9 # whoever runs it holds this until the end, his own or the command's
    set -- "$call"/code.*
    [ -e "$1" ] || exit 92
    code=${1##*.}
    [ "$half" != all ] || cat "$call/log"
else
    flock 9
    printf '%s\n' "$ONCE_COMMAND" > "$call/script" || exit 93
    : > "$call/log" > "$call/intent.$digest" || exit 93
    flock -u 8
    unset ONCE_COMMAND
    set -- "${call%/*}"/../*/
    (($# <= 3 * kept)) || ls -1dt "$@" | tail -n "+$((kept + 1))" | xargs -r rm -rf
    filter=(${SENTIENT_SECRETS:+"$(command -v python)" "$programs/redaction.py"})
    PATH="$HOME/.sentient/env/bin:$PATH" "${filter[@]}" timeout -k 5 "$seconds" bash "$call/script" > "$call/log" 2>&1 < /dev/null 8>&- 9>&- &
    pid=$!
    if [ "$half" = all ]; then
        tail -n +1 -s 0.1 -f --pid=$pid "$call/log" 8>&- 9>&-
    else
        watch 8>&- 9>&- &
        watcher=$!
        disown "$watcher"
    fi
    wait $pid
    code=$?
    [ "$half" = all ] || kill "$watcher"
    if ((code == 124 || code == 137)) && ((SECONDS >= ${seconds%.*})); then code=timeout; fi
    : > "$call/code.$code"
fi
if [ "$half" != all ]; then
    size=$(stat -c %s "$call/log")
    if ((size <= 2 * half)); then
        cat "$call/log"
    else
        head -c "$half" "$call/log"
        printf '\n[... %s bytes left out; all of it is in %s ...]\n' $((size - 2 * half)) "$call/log"
        tail -c "$half" "$call/log"
    fi
fi
printf '\nsentient:%s\n' "$code" >&2
