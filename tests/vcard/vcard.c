/*
 * vcard: a sound card that is a program, for tests of what real time does to a phone.
 *
 * An ALSA ioplug whose sample clock is CLOCK_MONOTONIC (with an error in ppm, if wanted). Two cards share one file of memory and
 * are wired crosswise, side 0's speaker to side 1's microphone and back, like two cables. Where their clocks differ the cable
 * resamples, as the air would. A card may instead hear a WAV file and record its speaker into another.
 *
 *   pcm_type.vcard { lib "DIR/libasound_module_pcm_vcard.so" }
 *   pcm.phone  { type vcard file "DIR/wire" side 0 }
 *   pcm.far    { type vcard file "DIR/wire" side 1 ppm -200 }
 *   pcm.wide   { type vcard file "DIR/wire" side 0 rate 44100 format S32_LE channels 2 }    a card that can do nothing else
 *   pcm.left   { type vcard file "DIR/wire" side 0 format S24_3LE channels 2 microphone 0 }  whose microphone is on one channel
 *   pcm.files  { type vcard file "DIR/wire2" side 0 mic "IN.raw" speaker "OUT.raw" }      raw: mono i16 at the card's rate
 *
 *      writei ─transfer─▶ out[side] at frame base+appl_ptr ───time──▶ in of the other side ─transfer─▶ readi
 *      timerfd at the moment avail reaches a period ─▶ poll
 *
 * Faults are asked for in the shared memory (struct wire, its head is what tests write): `gone` makes the side's device vanish,
 * each increment of `xrun[direction]` makes one over- or underrun.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define RING (1 << 17) /* 2.7 s at 48 kHz */
#define MAGIC 0x56434152

/* What a test may write for one side. Keep in step with tests/src/vcard.rs. */
struct faults {
	_Atomic uint32_t gone;    /* 1: the device is unplugged */
	_Atomic uint32_t xrun[2]; /* [0] playback, [1] capture: each increment makes one */
	_Atomic uint32_t seen[2]; /* xruns made */
	_Atomic uint32_t real[2]; /* over- and underruns the program made by itself */
};

/* What one side has played: frames [low, high) of its own clock are in the ring. */
struct cable {
	_Atomic int64_t low, high;
	_Atomic uint32_t rate;
	_Atomic int32_t ppm;
	int16_t ring[RING];
};

struct wire {
	_Atomic uint32_t magic;
	uint32_t pad;
	struct faults faults[2];
	_Atomic int64_t epoch_ns;
	struct cable out[2];
};

struct vcard {
	snd_pcm_ioplug_t io;
	struct wire *wire;
	int side, ppm, timer, running;
	int64_t base;      /* frame of the card's clock at which this stream started */
	int64_t position;  /* frames since then */
	snd_pcm_uframes_t boundary;
	int16_t *pending;  /* playback written before the start */
	int mic, speaker;  /* raw files, or -1 */
	long microphone;   /* channel it is on, or -1: all */
};

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double frames_per_ns(unsigned rate, int ppm) { return rate * (1.0 + ppm * 1e-6) * 1e-9; }

/* The card's clock, in frames. */
static int64_t clock_frames(struct vcard *v)
{
	return (int64_t)((now_ns() - v->wire->epoch_ns) * frames_per_ns(v->io.rate, v->ppm));
}

static struct faults *faults(struct vcard *v) { return &v->wire->faults[v->side]; }

static int direction(struct vcard *v) { return v->io.stream == SND_PCM_STREAM_CAPTURE; }

/* Wakes the reader when a whole period is there (or free). */
static void arm(struct vcard *v)
{
	struct itimerspec when = {0};
	if (v->running) {
		snd_pcm_uframes_t ahead = direction(v) ? v->io.appl_ptr + v->io.period_size
						      : v->io.appl_ptr + v->io.period_size - v->io.buffer_size;
		/* Half a frame late rather than early: an early wake would find a frame too few. */
		int64_t ns = v->wire->epoch_ns + (int64_t)((v->base + (int64_t)ahead + 0.5) / frames_per_ns(v->io.rate, v->ppm));
		if (ns < 1)
			ns = 1;
		when.it_value.tv_sec = ns / 1000000000;
		when.it_value.tv_nsec = ns % 1000000000;
	}
	timerfd_settime(v->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Puts played frames on the cable and into the speaker file. */
static void play(struct vcard *v, int64_t at, const int16_t *from, int64_t count)
{
	struct cable *out = &v->wire->out[v->side];
	int64_t high = out->high;
	if (at > high && at - high < RING)
		for (int64_t i = high; i < at; i++)
			out->ring[i & (RING - 1)] = 0;
	if (at != high && (at < out->low || at - high >= RING))
		out->low = at;
	for (int64_t i = 0; i < count; i++)
		out->ring[(at + i) & (RING - 1)] = from[i];
	out->high = at + count;
	if (out->high - out->low > RING - 48000)
		out->low = out->high - (RING - 48000);
	if (v->speaker >= 0 && pwrite(v->speaker, from, count * 2, at * 2) < 0)
		atomic_store(&faults(v)->gone, 1);
}

/* The other side's cable from this side's frame `at` on, linearly between its samples; bit by bit where both have one clock. */
static void hear(struct vcard *v, int64_t at, int16_t *frames, int64_t count)
{
	struct cable *in = &v->wire->out[1 - v->side];
	unsigned rate = in->rate;
	int64_t low = in->low, high = in->high;
	double own = frames_per_ns(v->io.rate, v->ppm), its = frames_per_ns(rate, in->ppm);
	int one_clock = rate == v->io.rate && in->ppm == v->ppm;
	for (int64_t i = 0; i < count; i++) {
		double there = one_clock ? at + i : (at + i) / own * its;
		int64_t whole = one_clock ? at + i : (int64_t)floor(there);
		double part = there - whole;
		if (!rate || whole < low || whole + 1 >= high)
			frames[i] = 0;
		else if (one_clock)
			frames[i] = in->ring[whole & (RING - 1)];
		else
			frames[i] = (int16_t)lrint(in->ring[whole & (RING - 1)] * (1 - part) + in->ring[(whole + 1) & (RING - 1)] * part);
	}
}

static int vcard_start(snd_pcm_ioplug_t *io)
{
	struct vcard *v = io->private_data;
	v->base = clock_frames(v);
	v->position = 0;
	v->running = 1;
	if (!direction(v)) {
		struct cable *out = &v->wire->out[v->side];
		out->rate = io->rate;
		out->ppm = v->ppm;
		int64_t count = io->appl_ptr < io->buffer_size ? io->appl_ptr : io->buffer_size;
		play(v, v->base, v->pending, count);
	}
	arm(v);
	return 0;
}

static int vcard_stop(snd_pcm_ioplug_t *io)
{
	struct vcard *v = io->private_data;
	if (v->running && !direction(v)) {
		/* What was queued and not played is never heard. */
		struct cable *out = &v->wire->out[v->side];
		int64_t at = clock_frames(v);
		if (out->high > at)
			out->high = at > out->low ? at : (int64_t)out->low;
	}
	v->running = 0;
	arm(v);
	return 0;
}

static int vcard_prepare(snd_pcm_ioplug_t *io)
{
	struct vcard *v = io->private_data;
	if (atomic_load(&faults(v)->gone))
		return -ENODEV;
	v->running = 0;
	v->position = 0;
	return 0;
}

static snd_pcm_sframes_t vcard_pointer(snd_pcm_ioplug_t *io)
{
	struct vcard *v = io->private_data;
	int d = direction(v);
	if (atomic_load(&faults(v)->gone)) {
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
		return -ENODEV;
	}
	if (!v->running)
		return v->position % v->boundary;
	if (atomic_load(&faults(v)->seen[d]) != atomic_load(&faults(v)->xrun[d])) {
		atomic_fetch_add(&faults(v)->seen[d], 1);
		return -EPIPE;
	}
	int64_t at = clock_frames(v) - v->base;
	if (at > v->position) {
		int64_t done = (int64_t)io->appl_ptr;
		if (d ? at - done > (int64_t)io->buffer_size : at > done) {
			atomic_fetch_add(&faults(v)->real[d], 1);
			return -EPIPE;
		}
		v->position = at;
	}
	return v->position % v->boundary;
}

/* Mono frames at `appl` to the cable or from it. */
static void move(struct vcard *v, snd_pcm_uframes_t appl, int16_t *frames, snd_pcm_uframes_t count)
{
	int64_t at = v->base + (int64_t)appl;
	if (!direction(v)) {
		if (v->running)
			play(v, at, frames, count);
		else
			for (snd_pcm_uframes_t i = 0; i < count && appl + i < v->io.buffer_size; i++)
				v->pending[appl + i] = frames[i];
	} else if (v->mic >= 0) {
		ssize_t got = pread(v->mic, frames, count * 2, at * 2);
		memset((char *)frames + (got > 0 ? got : 0), 0, count * 2 - (got > 0 ? got : 0));
	} else {
		hear(v, at, frames, count);
	}
}

static int vcard_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned count, unsigned short *revents)
{
	struct vcard *v = io->private_data;
	(void)fds, (void)count;
	snd_pcm_sframes_t avail = snd_pcm_avail_update(io->pcm);
	*revents = 0;
	if (avail < 0)
		*revents = POLLERR | (direction(v) ? POLLIN : POLLOUT);
	else if ((snd_pcm_uframes_t)avail >= io->period_size)
		*revents = direction(v) ? POLLIN : POLLOUT;
	/* Setting the timer takes its readiness back. */
	arm(v);
	return 0;
}

static int vcard_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *delay)
{
	*delay = io->stream == SND_PCM_STREAM_PLAYBACK ? snd_pcm_ioplug_hw_avail(io, io->hw_ptr, io->appl_ptr)
						       : snd_pcm_ioplug_avail(io, io->hw_ptr, io->appl_ptr);
	return 0;
}

static int vcard_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct vcard *v = io->private_data;
	return snd_pcm_sw_params_get_boundary(params, &v->boundary);
}

static int vcard_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
{
	struct vcard *v = io->private_data;
	(void)params;
	free(v->pending);
	v->pending = calloc(io->buffer_size, sizeof *v->pending);
	return v->pending ? 0 : -ENOMEM;
}

static int vcard_close(snd_pcm_ioplug_t *io)
{
	struct vcard *v = io->private_data;
	close(v->timer);
	if (v->mic >= 0)
		close(v->mic);
	if (v->speaker >= 0)
		close(v->speaker);
	munmap(v->wire, sizeof *v->wire);
	free(v->pending);
	free(v);
	return 0;
}

/* A sample in the card's format, and back. */
static int get(snd_pcm_format_t format, const void *at)
{
	const uint8_t *b = at;
	switch (format) {
	case SND_PCM_FORMAT_S32_LE: return *(const int32_t *)at >> 16;
	case SND_PCM_FORMAT_S24_3LE: return (int16_t)(b[1] | b[2] << 8);
	default: return *(const int16_t *)at;
	}
}

static void put(snd_pcm_format_t format, void *at, int16_t sample)
{
	uint8_t *b = at;
	switch (format) {
	case SND_PCM_FORMAT_S32_LE: *(int32_t *)at = (uint32_t)sample << 16; break;
	case SND_PCM_FORMAT_S24_3LE: b[0] = 0, b[1] = sample & 0xff, b[2] = (uint16_t)sample >> 8; break;
	default: *(int16_t *)at = sample;
	}
}

/* One sample of one channel, as the phone laid it out. */
static void *place(const snd_pcm_channel_area_t *areas, unsigned channel, snd_pcm_uframes_t frame)
{
	return (char *)areas[channel].addr + (areas[channel].first + areas[channel].step * frame) / 8;
}

static snd_pcm_sframes_t vcard_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset,
					snd_pcm_uframes_t count)
{
	struct vcard *v = io->private_data;
	int16_t mono[1024];
	if (atomic_load(&faults(v)->gone))
		return -ENODEV;
	if (io->format == SND_PCM_FORMAT_S16_LE && io->channels == 1 && areas[0].step == 16) {
		move(v, io->appl_ptr, place(areas, 0, offset), count);
		return count;
	}
	for (snd_pcm_uframes_t done = 0; done < count;) {
		snd_pcm_uframes_t part = count - done < 1024 ? count - done : 1024;
		if (!direction(v)) {
			for (snd_pcm_uframes_t i = 0; i < part; i++) {
				int sum = 0;
				for (unsigned c = 0; c < io->channels; c++)
					sum += get(io->format, place(areas, c, offset + done + i));
				mono[i] = sum / (int)io->channels;
			}
			move(v, io->appl_ptr + done, mono, part);
		} else {
			move(v, io->appl_ptr + done, mono, part);
			for (snd_pcm_uframes_t i = 0; i < part; i++)
				for (unsigned c = 0; c < io->channels; c++)
					/* The microphone is on one channel, where one is named; the others hear nothing of it. */
					put(io->format, place(areas, c, offset + done + i), v->microphone < 0 || v->microphone == (long)c ? mono[i] : 0);
		}
		done += part;
	}
	return count;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = vcard_start,
	.stop = vcard_stop,
	.pointer = vcard_pointer,
	.transfer = vcard_transfer,
	.prepare = vcard_prepare,
	.poll_revents = vcard_poll_revents,
	.delay = vcard_delay,
	.sw_params = vcard_sw_params,
	.hw_params = vcard_hw_params,
	.close = vcard_close,
};

static struct wire *open_wire(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	struct wire *wire = MAP_FAILED;
	if (ftruncate(fd, sizeof *wire) == 0)
		wire = mmap(NULL, sizeof *wire, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (wire == MAP_FAILED)
		return NULL;
	int64_t none = 0;
	atomic_compare_exchange_strong(&wire->epoch_ns, &none, now_ns());
	atomic_store(&wire->magic, MAGIC);
	return wire;
}

static int constrain(snd_pcm_ioplug_t *io, long rate, long channels, unsigned format)
{
	static const unsigned access[] = {SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED};
	int e;
	if ((e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, channels, channels)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, rate ? rate : 8000, rate ? rate : 48000)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 32, 65536)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 64, 262144)) < 0 ||
	    (e = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 1024)) < 0)
		return e;
	return 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(vcard)
{
	snd_config_iterator_t i, next;
	const char *file = NULL, *mic = NULL, *speaker = NULL;
	const char *layout = "S16_LE";
	long side = 0, ppm = 0, rate = 0, channels = 1, microphone = -1;
	(void)root;
	snd_config_for_each(i, next, conf)
	{
		snd_config_t *entry = snd_config_iterator_entry(i);
		const char *id;
		if (snd_config_get_id(entry, &id) < 0 || !strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint"))
			continue;
		int bad = !strcmp(id, "file")      ? snd_config_get_string(entry, &file)
			  : !strcmp(id, "mic")     ? snd_config_get_string(entry, &mic)
			  : !strcmp(id, "speaker") ? snd_config_get_string(entry, &speaker)
			  : !strcmp(id, "side")    ? snd_config_get_integer(entry, &side)
			  : !strcmp(id, "ppm")     ? snd_config_get_integer(entry, &ppm)
			  : !strcmp(id, "format")  ? snd_config_get_string(entry, &layout)
			  : !strcmp(id, "channels") ? snd_config_get_integer(entry, &channels)
			  : !strcmp(id, "microphone") ? snd_config_get_integer(entry, &microphone)
			  : !strcmp(id, "rate")    ? snd_config_get_integer(entry, &rate)
						   : -EINVAL;
		if (bad < 0) {
			SNDERR("vcard: field %s is unknown or of the wrong type", id);
			return -EINVAL;
		}
	}
	unsigned format = snd_pcm_format_value(layout);
	if (!file || side < 0 || side > 1 || (format != SND_PCM_FORMAT_S16_LE && format != SND_PCM_FORMAT_S24_3LE && format != SND_PCM_FORMAT_S32_LE)) {
		SNDERR("vcard: needs file, side 0 or 1, format S16_LE, S24_3LE or S32_LE");
		return -EINVAL;
	}
	struct vcard *v = calloc(1, sizeof *v);
	if (!v)
		return -ENOMEM;
	v->side = side;
	v->ppm = ppm;
	v->microphone = microphone;
	v->boundary = 1UL << 30;
	v->mic = v->speaker = -1;
	v->wire = open_wire(file);
	if (!v->wire) {
		int why = errno ? errno : EIO;
		SNDERR("vcard: cannot map %s: %s", file, strerror(why));
		free(v);
		return -why;
	}
	int e = atomic_load(&faults(v)->gone) ? -ENODEV : 0;
	v->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (e == 0 && v->timer < 0)
		e = -errno;
	if (e == 0 && mic && stream == SND_PCM_STREAM_CAPTURE && (v->mic = open(mic, O_RDONLY | O_CLOEXEC)) < 0)
		e = -errno;
	if (e == 0 && speaker && stream == SND_PCM_STREAM_PLAYBACK && (v->speaker = open(speaker, O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) < 0)
		e = -errno;
	if (e == 0) {
		v->io.version = SND_PCM_IOPLUG_VERSION;
		v->io.name = "offhook virtual card";
		v->io.poll_fd = v->timer;
		v->io.poll_events = POLLIN;
		v->io.callback = &callbacks;
		v->io.private_data = v;
		v->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC | SND_PCM_IOPLUG_FLAG_BOUNDARY_WA;
		e = snd_pcm_ioplug_create(&v->io, name, stream, mode);
	}
	if (e < 0) {
		vcard_close(&(snd_pcm_ioplug_t){.private_data = v});
		return e;
	}
	if ((e = constrain(&v->io, rate, channels, format)) < 0) {
		snd_pcm_ioplug_delete(&v->io);
		return e;
	}
	*pcmp = v->io.pcm;
	return 0;
}

SND_PCM_PLUGIN_SYMBOL(vcard);
