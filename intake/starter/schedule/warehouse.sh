#!/bin/sh
# Puts the tables of one month into a folder. Write your own export here, then remove the last two lines.
#   $1  the month, like 2026-07      $2  the folder, which is there and empty
# Take a day more on both sides: a conversation of the last minute goes on after it. Outcomes are seen up to 30 days later.
#
# Postgres:   psql "$WAREHOUSE" -c "\copy (select ...) to '$2/chat_messages.csv' csv header"
# Snowflake:  snow sql -q "copy into @stage/$1/MESSAGES from (...) file_format = (type = parquet) header = true" && snow stage copy ...
# BigQuery:   bq query "export data options (uri = 'gs://bucket/$1/conversations-*.json', format = 'JSON') as select ..."
#             && gcloud storage cp "gs://bucket/$1/*" "$2/"
set -eu
echo "schedule/warehouse.sh exports nothing yet: write your own export in it." >&2
exit 2
