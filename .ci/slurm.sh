#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: no accounts, no control groups, nothing
# outside its own folder. Needs root (or a user who may run all daemons as himself) and
# Debian's packages; `start` installs them where apt-get may.
#
#   eval "$(.ci/slurm.sh start)"   starts it and exports SLURM_CONF
#   .ci/slurm.sh stop              ends its daemons
#
# HOUNSFIELD_SLURM names the folder (default: /tmp/hounsfield-slurm).
set -euo pipefail
dir=${HOUNSFIELD_SLURM:-/tmp/hounsfield-slurm}
say() { echo "slurm.sh: $*" >&2; }

# Ends one daemon by the process id that it wrote, if that process is still the daemon.
end() {
  local pid
  [ -f "$dir/$1.pid" ] || return 0
  pid=$(cat "$dir/$1.pid")
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]; then
    kill "$pid" || true
    for _ in $(seq 50); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  fi
  rm -f "$dir/$1.pid"
}

stop() {
  end slurmd
  end slurmctld
  end munged
}

up() { SLURM_CONF="$dir/slurm.conf" timeout 5 sinfo -h -o %t 2>/dev/null | grep -Eq '^(idle|mix|alloc)'; }

start() {
  if [ -f "$dir/slurm.conf" ] && up; then
    say "already up"
    echo "export SLURM_CONF='$dir/slurm.conf'"
    return
  fi
  local missing=() p
  for p in slurmctld slurmd munged sbatch; do [ -x "$(PATH=$PATH:/usr/sbin command -v $p)" ] || missing+=("$p"); done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then say "not here: ${missing[*]}"; return 1; fi
    mkdir -p "$dir"
    say "installing slurmctld, slurmd, slurm-client, munge"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge; } >"$dir/apt.log" 2>&1 ||
      { say "could not install:"; tail -n 3 "$dir/apt.log" >&2; return 1; }
  fi
  export PATH=$PATH:/usr/sbin
  stop
  mkdir -p "$dir"/{state,spool,log}
  chmod 755 "$dir" "$dir"/{state,spool,log}
  [ -f "$dir/munge.key" ] || head -c 128 /dev/urandom >"$dir/munge.key"
  chmod 400 "$dir/munge.key"
  local host me memory
  host=$(hostname -s) me=$(id -un)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat >"$dir/slurm.conf" <<CONF
ClusterName=hounsfield
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/jobcomp.txt
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=0
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE OverSubscribe=YES:4 State=UP
CONF
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" >&2
  export SLURM_CONF="$dir/slurm.conf"
  slurmctld -c >&2
  slurmd -c >&2
  for _ in $(seq 100); do
    if up; then
      say "up: $(sinfo -h -o '%n %t, %c processors, %m MB')"
      echo "export SLURM_CONF='$dir/slurm.conf'"
      return
    fi
    sleep 0.2
  done
  say "the node did not come up:"
  sinfo >&2 || true
  tail -n 5 "$dir"/log/*.log >&2
  stop
  return 1
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) say "start or stop"; exit 2 ;;
esac
