# IEEE 802.1X on the cable: starts wpa_supplicant, starts it again when it ends, and reports why the
# switch lets nothing through. Sourced by `network` after env.sh; tested on the host by
# tests/image/eap_test.sh (time, failures) and cable_test.sh (a real switch).
EAP_PID=/run/offhook/eap.pid
EAP_LOG=/dev/kmsg
EAP_CONF=$SYSTEM/eap.conf
EAP_PROC=/proc

# eap_clock FILE…: a board without a battery starts in 1970, when no certificate is valid yet. Its
# clock is not before the newest of these files was written.
eap_clock() {
  for file; do
    at=$(stat -c %Y "$file" 2>/dev/null || echo 0)
    [ "$(date +%s)" -ge "$at" ] || date -s "@$at" >/dev/null 2>&1
  done
}

# eap_start INTERFACE
eap_start() {
  rm -f "$EAP_PID"
  wpa_supplicant -B -P "$EAP_PID" -D wired -i "$1" -c "$EAP_CONF" >"$EAP_LOG" 2>&1
}

# eap_alive: the process that was started still runs, and no other one has its number.
eap_alive() { eap_process=$(cat "$EAP_PID" 2>/dev/null) && [ "$(cat "$EAP_PROC/$eap_process/comm" 2>/dev/null)" = wpa_supplicant ]; }

# eap_open INTERFACE: the switch lets the phone through.
eap_open() { case $(wpa_cli -i "$1" status 2>/dev/null) in *suppPortStatus=Authorized*) return 0 ;; *) return 1 ;; esac; }

# eap_why INTERFACE: what to say to a person.
eap_why() {
  if ! eap_alive; then echo "IEEE 802.1X cannot be started on $1; the log says why"; return; fi
  case $(wpa_cli -i "$1" status 2>/dev/null) in
    *"EAP state=FAILURE"* | *"EAP state=IDLE"*selectedMethod*) echo "the switch refuses the phone (IEEE 802.1X); check [network] eap" ;;
    *) echo "the switch does not let the phone through (IEEE 802.1X); check [network] eap, the RADIUS server and its certificate" ;;
  esac
}

# watch_eap INTERFACE: looks every two seconds. Once the switch lets the phone through, DHCP asks at
# once. Why it does not is reported from the sixteenth second on.
watch_eap() {
  was= closed=0 reported= pause=0 waited=0
  while sleep 2; do
    if eap_alive && eap_open "$1"; then
      closed=0 pause=0
      if [ -z "$was" ]; then was=1; kill -USR1 "$(cat /run/offhook/udhcpc.pid 2>/dev/null)" 2>/dev/null; fi
      why=
    else
      was= closed=$((closed + 2)) waited=$((waited + 2))
      if ! eap_alive && [ $waited -ge $pause ]; then
        waited=0 pause=$((pause * 2 + 2)); [ $pause -le 60 ] || pause=60
        eap_start "$1"
      fi
      [ $closed -ge 16 ] || continue
      why=$(eap_why "$1")
    fi
    [ "$why" != "$reported" ] || continue
    reported=$why; note cable "$why"; offhook ctl refresh >/dev/null 2>&1
  done
}
