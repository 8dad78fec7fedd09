# A bash context inside a desktop. Requests are three NUL-terminated texts on descriptor 3: what
# sets up the variables of one execution, its code, and what takes them back. Each is answered by
# one JSON line on descriptor 4. The code's output stays on descriptors 1 and 2.

# An interrupt ends the code, not this loop: a DEBUG trap that returns 2 makes every sourced script
# and function return, and it is set only once there was an interrupt.
__stop() { ((${#FUNCNAME[@]} <= 2)) || return 2; }
__interrupted() { shopt -s extdebug; set -T; trap __stop DEBUG; }
trap __interrupted INT

printf '{"event":"ready"}\n' >&4
while IFS= read -r -d '' -u 3 __before && IFS= read -r -d '' -u 3 __code && IFS= read -r -d '' -u 3 __after; do
    eval "$__before"
    source /dev/fd/9 9<<<"$__code" 3<&- 4>&-
    __status=$?
    trap - DEBUG
    set +T
    shopt -u extdebug
    trap __interrupted INT
    eval "$__after"
    printf '{"event":"end","status":%d}\n' "$__status" >&4
done
