#!/bin/bash
# A Lambda runtime that needs only bash.
LC_ALL=C
server=/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}
base=/2018-06-01/runtime/invocation
count=0
arguments=$*
while :; do
    exec 3<>"$server"
    printf 'GET %s/next HTTP/1.1\r\nHost: runtime\r\nConnection: close\r\n\r\n' "$base" >&3
    while IFS= read -r line <&3; do
        line=${line%$'\r'}
        [ -n "$line" ] || break
        case ${line%%:*} in
            [Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d) id=${line#*: } ;;
            [Cc]ontent-[Ll]ength) length=${line#*: } ;;
        esac
    done
    IFS= read -r -N "$length" event <&3
    exec 3<&-
    count=$((count + 1))
    echo "event $event"
    case $event in
        *crash*) kill -ABRT $$ ;;
        *sleep*) read -r -t 60 <> <(:) ;;
    esac
    { : >/tmp/mine; } 2>/dev/null && temporary=written
    { : >>/var/task/label; } 2>/dev/null && task=written || task=refused
    echo lost >/dev/null
    entries=(/*)
    read -r label </var/task/label
    processes=(/proc/[0-9]*)
    response="{\"label\":\"$label\",\"count\":$count,\"pid\":$$,\"user\":$EUID,\"folder\":\"$PWD\",\"arguments\":\"$arguments\"
        ,\"temporary\":\"$temporary\",\"task\":\"$task\",\"entries\":\"${entries[*]}\",\"processes\":${#processes[@]}
        ,\"greeting\":\"$GREETING\",\"own\":\"$OWN\",\"path\":\"$PATH\",\"libraries\":\"$LD_LIBRARY_PATH\"
        ,\"function\":\"$AWS_LAMBDA_FUNCTION_NAME:$AWS_LAMBDA_FUNCTION_VERSION\",\"root\":\"$LAMBDA_TASK_ROOT\",\"event\":$event}"
    exec 3<>"$server"
    printf 'POST %s/%s/response HTTP/1.1\r\nHost: runtime\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
        "$base" "$id" "${#response}" "$response" >&3
    while IFS= read -r line <&3; do :; done
    exec 3<&-
done
