"""A pjsua that answers by itself, on a null card: `pjsua.py PORT MICROPHONE.wav|- EAR.wav`; ends on SIGTERM."""
import signal
import sys
import time

import pjsua2 as pj

port, microphone, ear = int(sys.argv[1]), sys.argv[2], sys.argv[3]
kept = []


class Call(pj.Call):
    def onCallMediaState(self, _):
        # Kept: its list of media is freed with it.
        info = self.getInfo()
        for n, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                sound = self.getAudioMedia(n)
                if microphone != "-":
                    player = pj.AudioMediaPlayer()
                    player.createPlayer(microphone)
                    player.startTransmit(sound)
                    kept.append(player)
                recorder = pj.AudioMediaRecorder()
                recorder.createRecorder(ear)
                sound.startTransmit(recorder)
                kept.append(recorder)


class Account(pj.Account):
    def onIncomingCall(self, prm):
        call = Call(self, prm.callId)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)
        kept.append(call)


running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.logConfig.level = 1
config.logConfig.consoleLevel = 1
config.uaConfig.threadCnt = 0
config.uaConfig.mainThreadOnly = True
# As a phone on a handset: no echo canceller, as the others here.
config.medConfig.ecTailLen = 0
# As the others: silence is sent, too.
config.medConfig.noVad = True
endpoint.libInit(config)
transport = pj.TransportConfig()
transport.port = port
transport.boundAddress = "127.0.0.1"
endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
endpoint.libStart()
# Not earlier: its clock would not run.
endpoint.audDevManager().setNullDev()
account = Account()
settings = pj.AccountConfig()
settings.idUri = "sip:bench@127.0.0.1"
settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
account.create(settings)
while running:
    endpoint.libHandleEvents(50)
kept.clear()
account.shutdown()
endpoint.libDestroy()
