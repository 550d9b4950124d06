# The radio: starts wpa_supplicant, starts it again when it ends, and reports why Wi-Fi has not
# joined. Sourced by `network` after env.sh; tested on the host by tests/image/radio_test.sh.
RADIO_PID=/run/offhook/wpa_supplicant.pid
RADIO_LOG=/dev/kmsg
RADIO_PROC=/proc

# radio_alive: the process that was started still runs, and no other one has its number.
radio_alive() { radio_process=$(cat "$RADIO_PID" 2>/dev/null) && [ "$(cat "$RADIO_PROC/$radio_process/comm" 2>/dev/null)" = wpa_supplicant ]; }

# radio_start INTERFACE
radio_start() {
  rm -f "$RADIO_PID"
  ip link set "$1" up 2>/dev/null
  # Power save delays most packets.
  iw dev "$1" set power_save off 2>/dev/null
  wpa_supplicant -B -P "$RADIO_PID" -i "$1" -c "$SYSTEM/wpa_supplicant.conf" >"$RADIO_LOG" 2>&1
}

# watch_radio INTERFACE: looks every five seconds. A radio that is not running is started again,
# after a pause that grows up to a minute. Why Wi-Fi has not joined is reported from the fifteenth
# second on. The first six times it is written to the card at once, because the person is waiting
# for it; after that only with the usual pauses, so that an unstable network does not wear the card
# out.
watch_radio() {
  reported= alone=0 refused=60 writes=0 pause=0 waited=0
  while sleep 5; do
    why=
    if ! radio_alive; then
      why="the radio $1 cannot be started; the log says why"
      waited=$((waited + 5))
      if [ $waited -ge $pause ]; then
        waited=0 pause=$((pause * 2 + 5)); [ $pause -le 60 ] || pause=60
        if radio_start "$1"; then why=; log "radio: wpa_supplicant had ended and was started again"; fi
      else why=$reported; fi
    else
      case $(wpa_cli -i "$1" status 2>/dev/null) in
        *wpa_state=COMPLETED*) alone=0 refused=60 pause=0 ;;
        *)
          alone=$((alone + 5)) refused=$((refused + 5))
          case $(wpa_cli -i "$1" list_networks 2>/dev/null) in *TEMP-DISABLED*) refused=0 ;; esac
          [ $alone -ge 15 ] || continue
          if [ $refused -lt 60 ]; then why="the network is there and refuses the phone; check [wifi] password and security"
          else why="no network of this name is in range, or none with this security; check [wifi] ssid and security"; fi ;;
      esac
    fi
    [ "$why" != "$reported" ] || continue
    reported=$why; note wifi "$why"
    [ $writes -ge 6 ] || { writes=$((writes + 1)); offhook ctl refresh >/dev/null 2>&1; }
  done
}
