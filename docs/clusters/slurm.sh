#!/bin/bash
# A search on the GPUs of four nodes under Slurm: sbatch slurm.sh
# One Ray node per Slurm node; /shared is a file system that all of them see. The search runs on the first node; a minute
# before its time is over it is told to stop (SIGTERM), writes its report, and the job is queued again.
#SBATCH --job-name=autopeft
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@60
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head --lines=1)
srun --nodes=1 --ntasks=1 --nodelist="$head" ray start --head --port=6379 --block &
sleep 20
srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" ray start --address="$head:6379" --block &
sleep 20

code=0
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" autopeft search --executor ray --address "$head:6379" \
    --model /shared/model --data /shared/chats.jsonl --task instruction --budget 0.5% --out /shared/study --quiet || code=$?
if [ "$code" = 75 ]; then # stopped on the way
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
