#!/bin/sh
# A Slurm array over a bucket or a folder: sbatch examples/batch/slurm.sh s3://photos/2026/ s3://photos/captions
# Each task captions its part and goes on with --resume where it was stopped. The last line joins the parts.
#SBATCH --job-name=captions
#SBATCH --array=1-8
#SBATCH --cpus-per-task=8
#SBATCH --requeue
set -eu
from=$1 to=$2
captioner predict "$from" --shard auto --out "$to/captions-{part}-of-{parts}.jsonl" --resume || [ $? = 3 ] # 3: some images failed
# when all are done: captioner merge "$to/captions-*-of-8.jsonl" --out "$to/captions.jsonl"
