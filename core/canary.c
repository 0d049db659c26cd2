/* canary: see canary.h. State: the secret, written once under hki_arenas_lock before the first hardened arena
 * exists. */
#include "canary.h"

#include "lock.h"
#include "os.h"

hki_secret hki_process_secret;
bool hki_cpu_wide;
const uint8_t hki_canary_masks[2 * HKI_WINDOW] = {[HKI_WINDOW... 2 * HKI_WINDOW - 1] = UINT8_MAX};

void hki_canary_start(void) {
    HKI_ASSERT(hki_lock_is_held(&hki_arenas_lock));
    uint64_t words[2];
    if (hki_process_secret.factor != 0)
        return;
    if (!hki_os_random(words, sizeof words))
        hki_os_random_of_start(words);
    hki_cpu_wide = hki_cpu_is_wide();
    hki_process_secret.offset = words[0];
    hki_process_secret.factor = words[1] | 1;
}
