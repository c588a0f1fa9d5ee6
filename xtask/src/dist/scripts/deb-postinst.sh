#!/bin/sh
set -e
# Nothing is enabled or started; what ran before an upgrade runs on with the new program.
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    if [ -n "$2" ]; then
        systemctl try-restart @SERVICES@ || true
    fi
fi
