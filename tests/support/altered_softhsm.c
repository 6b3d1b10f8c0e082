/* A PKCS #11 library of another maker: SoftHSM, whose file is INNER, with a few things different.
 *
 * The variables below are set and read by tests, with ctypes. They are 0 as long as nobody sets them.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <unistd.h>

typedef unsigned long CK_ULONG, CK_RV;
/* CK_FUNCTION_LIST of version 2.40: its functions in their order, of which only those below are called. */
typedef struct {
    unsigned char version[2];
    void *functions[68];
} List;
enum { INITIALIZE = 0, FINALIZE = 1, GET_FUNCTION_LIST = 3, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, SIGN = 43 };
enum { CKR_FUNCTION_FAILED = 0x6, CKR_CANT_LOCK = 0xA, CKR_SESSION_COUNT = 0xB1 };
enum { MICROSECONDS = 1000 };

atomic_int refuses_locking;   /* C_Initialize with arguments is answered with CKR_CANT_LOCK */
atomic_int most_sessions;     /* that it has at a time; 0: as many as wanted */
atomic_int sign_microseconds; /* that a signature takes longer */
atomic_int to_hang;           /* signatures from now on that do not return before `released` is set */
atomic_int released;
atomic_int to_fail;           /* signatures from now on that fail with CKR_FUNCTION_FAILED */

atomic_int sessions;               /* open now */
atomic_int logins;                 /* tried since it was loaded */
atomic_int begun;                  /* how often it was begun */
atomic_int inside;                 /* signatures that are being made */
atomic_int most_inside;            /* at a time */
atomic_int ended_with_one_inside;  /* whether C_Finalize came meanwhile, which the standard does not allow */

static List *inner, altered;

static CK_RV initialize(void *arguments) {
    if (refuses_locking && arguments != NULL)
        return CKR_CANT_LOCK;
    CK_RV answer = ((CK_RV (*)(void *))inner->functions[INITIALIZE])(arguments);
    if (answer == 0)
        begun++;
    return answer;
}

static CK_RV finalize(void *reserved) {
    if (inside > 0)
        ended_with_one_inside = 1;
    sessions = 0;
    return ((CK_RV (*)(void *))inner->functions[FINALIZE])(reserved);
}

static CK_RV open_session(CK_ULONG slot, CK_ULONG flags, void *application, void *notify, CK_ULONG *session) {
    if (most_sessions && sessions >= most_sessions)
        return CKR_SESSION_COUNT;
    CK_RV answer = ((CK_RV (*)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *))inner->functions[OPEN_SESSION])(
        slot, flags, application, notify, session);
    if (answer == 0)
        sessions++;
    return answer;
}

static CK_RV close_session(CK_ULONG session) {
    CK_RV answer = ((CK_RV (*)(CK_ULONG))inner->functions[CLOSE_SESSION])(session);
    if (answer == 0)
        sessions--;
    return answer;
}

static CK_RV login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length) {
    logins++;
    return ((CK_RV (*)(CK_ULONG, CK_ULONG, unsigned char *, CK_ULONG))inner->functions[LOGIN])(
        session, user, pin, length);
}

static CK_RV sign(CK_ULONG session, unsigned char *text, CK_ULONG length, unsigned char *into, CK_ULONG *room) {
    if (into != NULL) {
        int now = ++inside, before = most_inside;
        while (now > before && !atomic_compare_exchange_weak(&most_inside, &before, now))
            ;
        if (sign_microseconds)
            usleep(sign_microseconds);
        if (to_hang > 0 && to_hang-- > 0)
            while (!released)
                usleep(MICROSECONDS);
    }
    CK_RV answer = ((CK_RV (*)(CK_ULONG, unsigned char *, CK_ULONG, unsigned char *, CK_ULONG *))inner->functions[SIGN])(
        session, text, length, into, room);
    if (into != NULL) {
        inside--;
        if (to_fail > 0 && to_fail-- > 0)
            return CKR_FUNCTION_FAILED;
    }
    return answer;
}

CK_RV C_GetFunctionList(List **list) {
    if (inner == NULL) {
        void *file = dlopen(INNER, RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(List **) = file == NULL ? NULL : (CK_RV (*)(List **))dlsym(file, "C_GetFunctionList");
        if (get == NULL || get(&inner) != 0)
            return CKR_FUNCTION_FAILED;
        altered = *inner;
        altered.functions[INITIALIZE] = initialize;
        altered.functions[FINALIZE] = finalize;
        altered.functions[GET_FUNCTION_LIST] = C_GetFunctionList;
        altered.functions[OPEN_SESSION] = open_session;
        altered.functions[CLOSE_SESSION] = close_session;
        altered.functions[LOGIN] = login;
        altered.functions[SIGN] = sign;
    }
    *list = &altered;
    return 0;
}
