// The functions that a compiler may call on its own account (<algorithm> and <string_view> with it). Word-wise: under
// TCG a byte-wise string instruction is an order of magnitude slower and is charged per byte by the instruction
// counter.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* to, void const* from, std::size_t count);
void* memmove(void* to, void const* from, std::size_t count);
void* memset(void* to, int value, std::size_t count);
int memcmp(void const* a, void const* b, std::size_t count);
void* memchr(void const* in, int value, std::size_t count);
std::size_t strlen(char const* text);

void* memcpy(void* to, void const* from, std::size_t count)
{
    void* d{to};
    std::size_t words{count / 8}, bytes{count % 8};
    asm volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(words)::"memory");
    asm volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(bytes)::"memory");
    return to;
}

void* memmove(void* to, void const* from, std::size_t count)
{
    auto* const d = static_cast<unsigned char*>(to);
    auto const* const s = static_cast<unsigned char const*>(from);
    if (d <= s || d >= s + count)
        return memcpy(to, from, count);
    for (std::size_t i = count; i-- > 0;) {
        d[i] = s[i];
        asm volatile("" ::: "memory"); // Or the compiler makes this loop a call of memmove.
    }
    return to;
}

void* memset(void* to, int value, std::size_t count)
{
    void* d{to};
    std::size_t words{count / 8}, bytes{count % 8};
    std::uint64_t const pattern{static_cast<unsigned char>(value) * std::uint64_t{0x0101010101010101}};
    asm volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
    asm volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(pattern) : "memory");
    return to;
}

int memcmp(void const* a, void const* b, std::size_t count)
{
    auto const* const x = static_cast<unsigned char const*>(a);
    auto const* const y = static_cast<unsigned char const*>(b);
    for (std::size_t i = 0; i < count; ++i)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

void* memchr(void const* in, int value, std::size_t count)
{
    auto const* const bytes = static_cast<unsigned char const*>(in);
    for (std::size_t i = 0; i < count; ++i)
        if (bytes[i] == static_cast<unsigned char>(value))
            return const_cast<unsigned char*>(bytes + i);
    return nullptr;
}

std::size_t strlen(char const* text)
{
    std::size_t n{0};
    while (text[n] != '\0') {
        ++n;
        asm volatile("" ::: "memory");
    }
    return n;
}

} // extern "C"
