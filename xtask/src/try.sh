#!/bin/sh
# The story that `cargo xtask try` tells, in a sandbox with no links but lo.
#
#   try.sh BIN_DIR                   the story, each claim checked against the kernel
#   try.sh BIN_DIR COMMAND [ARG...]  COMMAND on a host made as the story begins
#
# Only sh, coreutils, grep, sed and ip are used: a fresh machine has no more. What it
# writes is in a directory of its own; the links it makes are the sandbox's.
set -u
bin=$1
shift
dir=$(mktemp -d /tmp/vdsm-try.XXXXXX) || exit 1
daemon=
trap 'stop_daemon; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
checks=0 wrong=0

section() { printf '\n== %s\n' "$*"; }
say() { printf '%s\n' "$*"; }
die() { say "try: $*"; cat "$dir/log" 2>/dev/null; exit 1; }
indented() { sed 's/^/    /'; }

# check SENTENCE COMMAND...: the sentence is true if the command succeeds.
check() {
  sentence=$1
  shift
  checks=$((checks + 1))
  if "$@" >/dev/null 2>&1; then
    say "  ok     $sentence"
  else
    wrong=$((wrong + 1))
    say "  WRONG  $sentence    ($*)"
  fi
}

# What the kernel says of one link holds every one of these texts.
link_has() {
  link=$(ip -d -j link show dev "$1") || return 1
  shift
  for text; do
    case $link in *"$text"*) ;; *) return 1 ;; esac
  done
}
vlan_bridge() {
  link_has "$1" '"info_kind":"bridge"' &&
    link_has "$2.$3" "\"link\":\"$2\"" "\"master\":\"$1\"" "\"id\":$3"
}
no_link() { ! ip link show dev "$1"; }
address_is() { ip -o addr show dev "$1" | grep -qF " $2 "; }
route_is() { ip "$1" route show default | grep -qF "via $2 dev $3"; }
mentions() { grep -qF -- "$2" "$1"; }
same() { cmp -s "$1" "$2"; }
nonzero() { [ "$1" -ne 0 ]; }

# All that a configuration decides, and nothing that changes by itself.
snapshot() {
  {
    ip -o link | while read -r _ name rest; do
      mtu='' master=''
      set -- $rest
      while [ $# -gt 1 ]; do
        case $1 in mtu) mtu=$2 ;; master) master=$2 ;; esac
        shift
      done
      echo "link $name mtu $mtu master $master"
    done
    ip -o addr show scope global | while read -r _ dev family address _; do
      echo "$family $address dev $dev"
    done
    ip route
    ip -6 route | grep -v ^fe80
  } | sed 's/ linkdown//; s/ *$//' | sort >"$1"
}

# The host from the ground up: nics and bonds, their VLANs, the bridges on them.
tree() {
  ip -o link | sed -nE 's/^[0-9]+: ([^:@]+)(@([^:]+))?: .* mtu ([0-9]+)(.* master ([^ ]+))?.*/\1 \3- \6- \4/p' >"$dir/links"
  ip -o addr show scope global >"$dir/addresses"
  while read -r name lower master mtu; do
    case $name in
      lo) continue ;;
      bond*.*) continue ;;
    esac
    # Slaves appear with their bond, bridges with their port.
    [ "$lower" = - ] || continue
    case $master in bond*) continue ;; esac
    if is_bridge "$name"; then
      grep -q " $name- " "$dir/links" || branch "$name" '  '
    else
      branch "$name" '  '
    fi
  done <"$dir/links"
}
is_bridge() { ls -d "/sys/class/net/$1/bridge" >/dev/null 2>&1; }
branch() (
  device=$1 indent=$2
  line=$indent$device
  slaves=$(cat "/sys/class/net/$device/bonding/slaves" 2>/dev/null) && line="$line = $slaves"
  mtu=$(cat "/sys/class/net/$device/mtu")
  [ "$mtu" = 1500 ] || line="$line, mtu $mtu"
  for address in $(sed -nE "s/^[0-9]+: $device +inet6? ([^ ]+) .*/\1/p" "$dir/addresses"); do
    line="$line, $address"
  done
  say "$line"
  while read -r name lower master _; do
    if [ "$lower" = "$device-" ]; then branch "$name" "$indent  "; fi
    if [ "$name" = "$device" ] && [ "$master" != - ] && is_bridge "${master%-}"; then
      branch "${master%-}" "$indent  "
    fi
  done <"$dir/links"
)

start_daemon() {
  "$bin/vdsm-netd" --config "$dir/vdsm.conf" >>"$dir/log" 2>&1 &
  daemon=$!
  tries=0
  until [ -S "$dir/run/netd.sock" ]; do
    kill -0 "$daemon" 2>/dev/null || die 'vdsm-netd ended before it listened:'
    tries=$((tries + 1))
    [ $tries -lt 300 ] || die 'vdsm-netd does not listen after 30 s:'
    sleep 0.1
  done
}
stop_daemon() {
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null
    wait "$daemon" 2>/dev/null
  fi
  daemon=
}

# --- the host ---------------------------------------------------------------

cat >"$dir/vdsm.conf" <<EOF
[vars]
net_configurator = iproute2
net_persistence = unified
run_dir = $dir/run
lib_dir = $dir/lib
socket = $dir/run/netd.sock
group = root
fake_nics = dummy_*,veth_*
EOF
mkdir -p "$dir/run" "$dir/lib" "$dir/bin"
printf '#!/bin/sh\nexec "%s/vdsm-tool" --config "%s/vdsm.conf" "$@"\n' "$bin" "$dir" >"$dir/bin/vdsm-tool"
chmod +x "$dir/bin/vdsm-tool"
PATH=$dir/bin:$PATH:/usr/sbin:/sbin
export PATH

for number in 0 1 2 3 4 5; do
  ip link add "dummy_$number" type dummy || die 'no dummy nics here'
  ip link set "dummy_$number" up
done

{
  echo '{
  "bondings": {
    "bond0": {"nics": ["dummy_0", "dummy_1"], "options": "mode=4 miimon=100"}
  },
  "networks": {
    "ovirtmgmt": {"nic": "dummy_2", "bridged": true, "defaultRoute": true,
                  "ipaddr": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1",
                  "ipv6addr": "2001:db8::10/64", "ipv6gateway": "2001:db8::1"},
    "storage": {"nic": "dummy_3", "bridged": false, "mtu": 9000,
                "ipaddr": "198.51.100.10", "prefix": 24},
    "isolated": {"bridged": true},'
  for tag in 101 102 103 104 105 106 107 108 109 110 111 112; do
    [ $tag = 112 ] && comma= || comma=,
    echo "    \"vm$tag\": {\"bonding\": \"bond0\", \"vlan\": $tag, \"bridged\": true}$comma"
  done
  echo '  },
  "options": {"connectivityCheck": false}
}'
} >"$dir/request.json"

cat >"$dir/bad.json" <<'EOF'
{
  "bondings": {"bond1": {"nics": ["dummy_0", "nosuch_0"], "options": "mode=4"}},
  "networks": {
    "much_too_long_a_name": {"nic": "dummy_4", "bridged": true},
    "nowhere": {"nic": "nosuch_1", "bridged": true},
    "tagged": {"nic": "dummy_5", "vlan": 5000, "bridged": true},
    "addressed": {"nic": "dummy_5", "vlan": 7, "ipaddr": "300.0.2.1", "netmask": "255.255.255.0"}
  },
  "options": {"connectivityCheck": false}
}
EOF

# Every rule of ours allows it; the kernel does not: no route leads to the gateway.
cat >"$dir/failing.json" <<'EOF'
{
  "networks": {
    "broken": {"nic": "dummy_4", "bridged": true, "defaultRoute": true,
               "ipaddr": "10.1.1.2", "netmask": "255.255.255.0", "gateway": "203.0.113.1"}
  },
  "options": {"connectivityCheck": false}
}
EOF

start_daemon

if [ $# -gt 0 ]; then
  vdsm-tool setup-networks "$dir/request.json" >"$dir/out" 2>&1 || { cat "$dir/out"; die 'the request failed'; }
  VDSM_CONFIG=$dir/vdsm.conf "$@"
  exit $?
fi

# --- the story --------------------------------------------------------------

section '1. A request, and the plan for it'
indented <"$dir/request.json"
snapshot "$dir/empty"
vdsm-tool setup-networks "$dir/request.json" --plan >"$dir/plan" 2>&1
code=$?
indented <"$dir/plan"
check 'the plan exists' [ $code -eq 0 ]
check 'it speaks of the bond' mentions "$dir/plan" bond0
check 'it speaks of the last network' mentions "$dir/plan" vm112
snapshot "$dir/after"
check 'planning changed nothing' same "$dir/empty" "$dir/after"

section '2. The request, carried out'
vdsm-tool setup-networks "$dir/request.json" >"$dir/out" 2>&1
code=$?
indented <"$dir/out"
check 'setup-networks succeeded' [ $code -eq 0 ]
vdsm-tool show >"$dir/show" 2>&1
code=$?
indented <"$dir/show"
check 'show succeeded' [ $code -eq 0 ]
check 'show knows vm101' mentions "$dir/show" vm101
check 'bond0 is an LACP bond that looks every 100 ms' \
  link_has bond0 '"info_kind":"bond"' '"mode":"802.3ad"' '"miimon":100'
for nic in dummy_0 dummy_1; do check "$nic is its slave" link_has $nic '"master":"bond0"'; done
for tag in 101 102 103 104 105 106 107 108 109 110 111 112; do
  check "vm$tag is a bridge on VLAN $tag of bond0" vlan_bridge "vm$tag" bond0 $tag
done
check 'ovirtmgmt is a bridge on dummy_2' link_has dummy_2 '"master":"ovirtmgmt"'
check 'it has its IPv4 address' address_is ovirtmgmt 192.0.2.10/24
check 'and its IPv6 address' address_is ovirtmgmt 2001:db8::10/64
check 'the default route is its own' route_is -4 192.0.2.1 ovirtmgmt
check 'for IPv6 too' route_is -6 2001:db8::1 ovirtmgmt
check 'storage is dummy_3 itself, MTU 9000' link_has dummy_3 '"mtu":9000'
check 'and has its address' address_is dummy_3 198.51.100.10/24
check 'isolated is a bridge' link_has isolated '"info_kind":"bridge"'
snapshot "$dir/good"
vdsm-tool setup-networks "$dir/request.json" >"$dir/out" 2>&1
check 'the same request again succeeds' [ $? -eq 0 ]
snapshot "$dir/after"
check 'and changes nothing' same "$dir/good" "$dir/after"

section '3. A bad request is refused, with everything that is wrong in it'
indented <"$dir/bad.json"
vdsm-tool setup-networks "$dir/bad.json" >"$dir/out" 2>&1
code=$?
indented <"$dir/out"
check 'it is refused' nonzero $code
for word in nosuch_0 nosuch_1 much_too_long_a_name 5000 300.0.2.1; do
  check "it is told about $word" mentions "$dir/out" "$word"
done
snapshot "$dir/after"
check 'the host is as it was' same "$dir/good" "$dir/after"

section '4. A request that the kernel refuses half-way is rolled back'
indented <"$dir/failing.json"
vdsm-tool setup-networks "$dir/failing.json" >"$dir/out" 2>&1
code=$?
indented <"$dir/out"
check 'it fails' nonzero $code
check 'no bridge is left' no_link broken
check 'the default route is where it was' route_is -4 192.0.2.1 ovirtmgmt
snapshot "$dir/after"
check 'the host is as it was' same "$dir/good" "$dir/after"

section '5. What was saved survives a reboot'
tree >"$dir/tree-before"
cat "$dir/tree-before"
vdsm-tool set-safe-config >"$dir/out" 2>&1
check 'set-safe-config succeeded' [ $? -eq 0 ]
stop_daemon
for kind in bridge vlan bond; do
  ip -o link show type $kind | sed -nE 's/^[0-9]+: ([^:@]+).*/\1/p' >"$dir/doomed"
  while read -r name; do ip link del "$name" 2>/dev/null; done <"$dir/doomed"
done
for number in 0 1 2 3 4 5; do
  ip link set "dummy_$number" down
  ip addr flush dev "dummy_$number"
  ip link set "dummy_$number" mtu 1500 up
done
rm -rf "$dir/run"
mkdir "$dir/run"
snapshot "$dir/after"
check 'after the power cut only nics are left' same "$dir/empty" "$dir/after"
start_daemon
vdsm-tool restore-nets >"$dir/out" 2>&1
code=$?
indented <"$dir/out"
check 'restore-nets succeeded' [ $code -eq 0 ]
tree >"$dir/tree-after"
cat "$dir/tree-after"
snapshot "$dir/after"
check 'every link, address and route is back' same "$dir/good" "$dir/after"
check 'bond0 is an LACP bond again' link_has bond0 '"mode":"802.3ad"' '"miimon":100'

say
if [ $wrong -gt 0 ]; then
  say 'the daemon said:'
  indented <"$dir/log"
  say "try: $wrong of $checks checks were wrong"
  exit 1
fi
say "try: all $checks checks passed"
