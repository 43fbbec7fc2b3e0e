/*
 * A library that answers like NVIDIA's (libnvidia-ml.so.1), for two cards: 0000:18:00.0 and 0000:41:00.0.
 *
 * DIRECTORY holds files that spoil it: `mismatch` (the loaded driver is another one), `lost-ADDRESS` (the card fell off
 * the bus), `hang-ADDRESS` (its calls do not return while the file is there). Sessions are written to `sessions`.
 * Structures as NVIDIA documents them: https://docs.nvidia.com/deploy/nvml-api/
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15, MISMATCH = 18, INVALID_ARGUMENT = 2 };

struct card {
    const char *address;
    const char *name, *vbios, *gsp;
    unsigned temperature, slowdown, shutdown, memory_temperature, memory_limit;
    unsigned power_milliwatts, limit_milliwatts;
    unsigned long long millijoules;
    unsigned megahertz[4]; /* graphics, SM, memory, video */
    unsigned gpu_percent, memory_percent, encoder_percent;
    unsigned long long total, reserved, used;
    unsigned fans, fan_percent, fan_rpm;
    unsigned long long throttled;
    int ecc;
    unsigned long long corrected, uncorrected;
};

static struct card cards[] = {
    { "0000:18:00.0", "NVIDIA H200", "96.00.A8.00.01", "580.95.05", 58, 87, 92, 61, 95, 612345, 700000, 123456789012ULL,
      { 1980, 1980, 3201, 1545 }, 98, 43, 0, 150754820096ULL, 700000000ULL, 120000000000ULL, 0, 0, 0, 0x4, 1, 7, 2 },
    { "0000:41:00.0", "NVIDIA GeForce RTX 4090", "95.02.3C.80.01", "580.95.05", 41, 0, 0, 0, 0, 31500, 450000, 98765432ULL,
      { 210, 210, 405, 1185 }, 0, 1, 3, 25757220864ULL, 500000000ULL, 812646400ULL, 2, 30, 1180, 0x1, 0, 0, 0 },
};

static int there(const char *what, const char *address) {
    char path[4096];
    snprintf(path, sizeof path, DIRECTORY "/%s%s%s", what, *address ? "-" : "", address);
    return access(path, F_OK) == 0;
}

static int said(const char *what) {
    FILE *sessions = fopen(DIRECTORY "/sessions", "a");
    if (sessions) {
        fprintf(sessions, "%s\n", what);
        fclose(sessions);
    }
    return SUCCESS;
}

/* What every call about a card begins with. */
static int reach(const struct card *card) {
    while (there("hang", card->address))
        usleep(10000);
    return there("lost", card->address) ? GPU_IS_LOST : SUCCESS;
}

#define REACH(card) do { int result = reach(card); if (result) return result; } while (0)
#define ANSWER(function, type, value) \
    int function(struct card *card, type *answer) { REACH(card); *answer = (value); return SUCCESS; }
#define TEXT(function, value) \
    int function(struct card *card, char *text, unsigned size) { REACH(card); snprintf(text, size, "%s", value); return SUCCESS; }

int nvmlInit_v2(void) { return there("mismatch", "") ? MISMATCH : said("opened"); }
int nvmlShutdown(void) { return said("closed"); }
const char *nvmlErrorString(int result) { (void)result; return "fake"; }
int nvmlSystemGetDriverVersion(char *version, unsigned size) { snprintf(version, size, "580.95.05"); return SUCCESS; }

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct card **found) {
    for (unsigned i = 0; i < sizeof cards / sizeof *cards; i++)
        if (strcmp(cards[i].address, address) == 0) {
            *found = &cards[i];
            return reach(*found);
        }
    return NOT_FOUND;
}

TEXT(nvmlDeviceGetName, card->name)
TEXT(nvmlDeviceGetVbiosVersion, card->vbios)
int nvmlDeviceGetGspFirmwareVersion(struct card *card, char *text) { REACH(card); strcpy(text, card->gsp); return SUCCESS; }
ANSWER(nvmlDeviceGetPowerUsage, unsigned, card->power_milliwatts)
ANSWER(nvmlDeviceGetEnforcedPowerLimit, unsigned, card->limit_milliwatts)
ANSWER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, card->millijoules)
ANSWER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, card->throttled)
ANSWER(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, 0x1 | 0x4 | 0x8 | 0x40)
ANSWER(nvmlDeviceGetNumFans, unsigned, card->fans)

int nvmlDeviceGetTemperature(struct card *card, int sensor, unsigned *celsius) {
    REACH(card);
    *celsius = card->temperature;
    return sensor == 0 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetTemperatureThreshold(struct card *card, int which, unsigned *celsius) {
    unsigned limits[] = { card->shutdown, card->slowdown, card->memory_limit };
    REACH(card);
    if (which < 0 || which > 2 || limits[which] == 0)
        return NOT_SUPPORTED;
    *celsius = limits[which];
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(struct card *card, int clock, unsigned *megahertz) {
    REACH(card);
    *megahertz = card->megahertz[clock];
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(struct card *card, unsigned percent[2]) {
    REACH(card);
    percent[0] = card->gpu_percent;
    percent[1] = card->memory_percent;
    return SUCCESS;
}

int nvmlDeviceGetEncoderUtilization(struct card *card, unsigned *percent, unsigned *period) {
    REACH(card);
    *percent = card->encoder_percent;
    *period = 167000;
    return SUCCESS;
}

int nvmlDeviceGetDecoderUtilization(struct card *card, unsigned *percent, unsigned *period) {
    REACH(card);
    *percent = *period = 0;
    return NOT_SUPPORTED;
}

struct memory { unsigned version; unsigned long long total, reserved, free, used; };

int nvmlDeviceGetMemoryInfo_v2(struct card *card, struct memory *memory) {
    REACH(card);
    if (memory->version != (sizeof *memory | 2 << 24))
        return INVALID_ARGUMENT;
    memory->total = card->total;
    memory->reserved = card->reserved;
    memory->used = card->used;
    memory->free = card->total - card->reserved - card->used;
    return SUCCESS;
}

int nvmlDeviceGetFanSpeed_v2(struct card *card, unsigned fan, unsigned *percent) {
    REACH(card);
    *percent = card->fan_percent + fan;
    return fan < card->fans ? SUCCESS : INVALID_ARGUMENT;
}

struct fan { unsigned version, fan, speed; };

int nvmlDeviceGetFanSpeedRPM(struct card *card, struct fan *fan) {
    REACH(card);
    fan->speed = card->fan_rpm + fan->fan;
    return fan->version == (sizeof *fan | 1 << 24) ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetTotalEccErrors(struct card *card, int kind, int counter, unsigned long long *count) {
    REACH(card);
    if (!card->ecc || counter != 0)
        return NOT_SUPPORTED;
    *count = kind == 0 ? card->corrected : card->uncorrected;
    return SUCCESS;
}

struct field {
    unsigned id, scope;
    long long timestamp, latency;
    unsigned type, result;
    union { double number; unsigned whole; unsigned long long large; } value;
};

int nvmlDeviceGetFieldValues(struct card *card, int count, struct field *fields) {
    REACH(card);
    for (int i = 0; i < count; i++) {
        fields[i].type = 1; /* unsigned int */
        fields[i].result = fields[i].id == 82 ? SUCCESS : NOT_SUPPORTED;
        fields[i].value.whole = card->memory_temperature;
    }
    return SUCCESS;
}
