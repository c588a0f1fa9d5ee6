#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
# The policy and the journal are the administrator's: they stay, on purge too.
