#!/bin/sh
# One run of the schedule: tables -> records -> manifest -> check -> send.
#
#   schedule/run.sh                      the month that has ended
#   schedule/run.sh 2026-07              that month
#   schedule/run.sh 2026-07 corrections  what has changed since: windows that closed, late records, users who opted out
#
# It may be run as often as you like: what is done is not done again, and what is sent twice counts once.
# Exit code: 0 done; 11 sent, but some records were quarantined (reports/ says which); 10 not sent: something must be
# corrected by a person; 20 and 30 try again later; anything else needs a person.
set -u
umask 077
cd "$(dirname "$0")/.." || exit 2

MAPPING=${MAPPING:-mappings/postgres.sql}
COMMONS=${COMMONS:-commons}

last_month() {
    year=$(date -u +%Y)
    month=$(date -u +%m)
    month=${month#0}
    if [ "$month" -eq 1 ]; then year=$((year - 1)) month=12; else month=$((month - 1)); fi
    printf '%04d-%02d' "$year" "$month"
}

PERIOD=${1:-$(last_month)}
WHAT=${2:-new}
NAME=$PERIOD
[ "$WHAT" = corrections ] && NAME=$PERIOD-closed

RAW=tables/run-$NAME # its own folder: tables that you put there by hand are never touched

# Two runs at once would write the same folders. Where there is no flock, cron and the timer do not overlap by themselves.
if command -v flock >/dev/null; then
    exec 9>.run.lock
    flock -n 9 || { echo "schedule/run.sh: another run is going on." >&2; exit 20; }
    rm -rf exports/.export-* # left by a run that was killed
fi

trap 'rm -rf "$RAW"' EXIT # raw tables do not stay, however it ends
trap 'exit 143' HUP INT TERM

stop() { # stop CODE STEP
    echo "schedule/run.sh: $2 ended with exit code $1 for $NAME." >&2
    exit "$1"
}

if [ ! -d "exports/$NAME" ]; then
    rm -rf "$RAW"
    mkdir -p "$RAW" exports
    ./schedule/warehouse.sh "$PERIOD" "$RAW" || stop $? "the export from the warehouse"
    if [ "$WHAT" = corrections ]; then
        $COMMONS export "$MAPPING" --tables "$RAW" --period "$PERIOD" --into "exports/$NAME" \
            --corrects "exports/$PERIOD" || stop $? export
    else
        $COMMONS export "$MAPPING" --tables "$RAW" --period "$PERIOD" --into "exports/$NAME" || stop $? export
    fi
fi
[ -d "exports/$NAME" ] || exit 0 # nothing to send

$COMMONS prepare "exports/$NAME" --period "$PERIOD" || stop $? prepare

mkdir -p reports
$COMMONS validate "exports/$NAME" --html "reports/$NAME.html"
checked=$?
case $checked in
    0) ;;
    11) echo "Some records would be quarantined: reports/$NAME.html. The rest is sent." >&2 ;;
    *) stop $checked validate ;;
esac

$COMMONS submit "exports/$NAME"
sent=$?
case $sent in
    0 | 11) ;;
    *) stop $sent submit ;;
esac
exit $checked
