#include "boot/info/multiboot.hpp"

#include <limits>

namespace hv::boot {

namespace {

constexpr std::size_t longest_string = 4096;
constexpr std::uint32_t largest_info = 1u << 20;

constexpr std::string_view info_at{"multiboot info, physical address"};
constexpr std::string_view ask_loader{"boot with GRUB 2 or qemu-system-x86_64 -kernel"};

using Outcome = Status<ParseError>;

Failure<ParseError> bad(std::uint64_t place, std::string_view what, std::string_view fix = ask_loader)
{
    return fail(ParseError{.thing = info_at, .place = place, .what = what, .fix = fix});
}

Outcome occupy(BootInfo& out, PhysAddr base, std::uint64_t length)
{
    if (length != 0 && !out.occupied.push_back({base, length}))
        return bad(base.value(), "the loader left more pieces than there is room for", "enlarge BootInfo::occupied");
    return done;
}

// A NUL-terminated string of unknown length, looked at page by page: what follows its last page may not be readable.
Result<std::string_view, ParseError> read_string(PhysicalMemory memory, PhysAddr at)
{
    std::size_t const to_page_end = longest_string - at.value() % longest_string;
    for (std::size_t const length : {to_page_end, longest_string}) {
        Bytes const bytes{memory.read(at, length)};
        if (bytes.empty())
            return bad(at.value(), "a string is not in readable memory");
        std::string_view const text{as_c_string(bytes)};
        if (text.size() < bytes.size())
            return text;
    }
    return bad(at.value(), "a string has no end within 4096 bytes", "shorten the command line");
}

std::string_view trim_front(std::string_view text)
{
    while (text.starts_with(' '))
        text.remove_prefix(1);
    return text;
}

// Multiboot 1 lets the file's name stand in front of the arguments; QEMU and GRUB 1 do that, GRUB 2 does not.
std::string_view without_file_name(std::string_view text, std::string_view loader)
{
    if (!loader.starts_with("GRUB 2"))
        while (!text.empty() && !text.starts_with(' '))
            text.remove_prefix(1);
    return trim_front(text);
}

Outcome add_region(BootInfo& out, std::uint64_t place, std::uint64_t base, std::uint64_t length, std::uint32_t type)
{
    if (length == 0)
        return done;
    if (length - 1 > std::numeric_limits<std::uint64_t>::max() - base)
        return bad(place, "a region of the memory map runs past the end of the address space");
    // A region up to the very last byte loses it, so that base + length can be computed everywhere else.
    if (base + length == 0)
        --length;
    bool const known = type >= 1 && type <= 5;
    MemoryRegion const region{PhysAddr{base}, length, known ? static_cast<MemoryKind>(type) : MemoryKind::reserved};
    if (length != 0 && !out.regions.push_back(region))
        return bad(place, "the memory map has more than 128 regions", "enlarge max_memory_regions");
    return done;
}

// Without a memory map: KiB below 640 KiB and KiB from 1 MiB on.
Outcome add_basic_memory(BootInfo& out, std::uint64_t place, std::uint32_t lower_kib, std::uint32_t upper_kib)
{
    if (Outcome const low{add_region(out, place, 0, std::uint64_t{lower_kib} << 10, 1)}; !low)
        return low;
    return add_region(out, place, 1u << 20, std::uint64_t{upper_kib} << 10, 1);
}

Outcome set_module(BootInfo& out, std::uint64_t place, std::uint32_t start, std::uint32_t end, std::string_view args)
{
    if (out.module)
        return bad(place, "there is more than one module", "give one file: -initrd FILE, or one `module` line in GRUB");
    if (start > end)
        return bad(place, "the module ends before it starts");
    out.module = BootModule{PhysAddr{start}, PhysAddr{end}, args};
    return occupy(out, PhysAddr{start}, end - start);
}

// --- multiboot 1

namespace mb1 {

// Offsets in the info block; a field is there iff its bit in `flags` is set.
constexpr std::size_t mem_lower = 4, mem_upper = 8, cmdline = 16, mods_count = 20, mods_addr = 24, mmap_length = 44,
                      mmap_addr = 48, loader_name = 64, read_size = 68, full_size = 120;
constexpr std::uint32_t has_memory = 1u << 0, has_cmdline = 1u << 2, has_modules = 1u << 3, has_mmap = 1u << 6,
                        has_loader = 1u << 9;
constexpr std::size_t module_size = 16;
constexpr std::size_t smallest_region = 20; // without its size field

Result<std::string_view, ParseError> string_of(PhysicalMemory memory, Bytes info, std::size_t field, BootInfo& out)
{
    PhysAddr const at{load<std::uint32_t>(info, field)};
    Result<std::string_view, ParseError> const text{read_string(memory, at)};
    if (!text)
        return text;
    if (Outcome const kept{occupy(out, at, text->size() + 1)}; !kept)
        return fail(kept.error());
    return text;
}

Outcome read_mmap(PhysicalMemory memory, Bytes info, BootInfo& out)
{
    PhysAddr const at{load<std::uint32_t>(info, mmap_addr)};
    std::uint32_t const length{load<std::uint32_t>(info, mmap_length)};
    if (length > largest_info)
        return bad(at.value(), "the memory map is larger than 1 MiB");
    Bytes const map{memory.read(at, length)};
    if (map.empty())
        return bad(at.value(), "the memory map is empty or not in readable memory");
    for (std::size_t offset = 0; offset < map.size();) {
        std::uint64_t const place{at.value() + offset};
        if (!fits(map, offset, 4 + smallest_region))
            return bad(place, "the memory map ends in the middle of a region");
        std::uint32_t const size{load<std::uint32_t>(map, offset)};
        if (size < smallest_region)
            return bad(place, "a region of the memory map is shorter than 20 bytes");
        if (Outcome const added{add_region(out, place, load<std::uint64_t>(map, offset + 4),
                                           load<std::uint64_t>(map, offset + 12),
                                           load<std::uint32_t>(map, offset + 20))};
            !added)
            return added;
        offset += std::size_t{4} + size;
    }
    return occupy(out, at, length);
}

Outcome read_modules(PhysicalMemory memory, Bytes info, BootInfo& out)
{
    PhysAddr const at{load<std::uint32_t>(info, mods_addr)};
    std::uint32_t const count{load<std::uint32_t>(info, mods_count)};
    if (count == 0)
        return done;
    if (count > 1)
        return bad(at.value(), "there is more than one module",
                   "give one file: -initrd FILE, or one `module` line in GRUB");
    Bytes const list{memory.read(at, module_size)};
    if (list.empty())
        return bad(at.value(), "the list of modules is not in readable memory");
    std::string_view args;
    if (load<std::uint32_t>(list, 8) != 0) {
        Result<std::string_view, ParseError> const text{string_of(memory, list, 8, out)};
        if (!text)
            return fail(text.error());
        args = without_file_name(*text, out.loader);
    }
    if (Outcome const kept{occupy(out, at, module_size)}; !kept)
        return kept;
    return set_module(out, at.value(), load<std::uint32_t>(list, 0), load<std::uint32_t>(list, 4), args);
}

Outcome parse(PhysAddr at, PhysicalMemory memory, BootInfo& out)
{
    Bytes const info{memory.read(at, read_size)};
    if (info.empty())
        return bad(at.value(), "the info block is not in readable memory");
    if (Outcome const kept{occupy(out, at, full_size)}; !kept)
        return kept;
    std::uint32_t const flags{load<std::uint32_t>(info, 0)};
    // The loader's name first: it decides how the other strings are read.
    if ((flags & has_loader) != 0) {
        Result<std::string_view, ParseError> const name{string_of(memory, info, loader_name, out)};
        if (!name)
            return fail(name.error());
        out.loader = *name;
    }
    if ((flags & has_cmdline) != 0) {
        Result<std::string_view, ParseError> const line{string_of(memory, info, cmdline, out)};
        if (!line)
            return fail(line.error());
        out.command_line = without_file_name(*line, out.loader);
    }
    if ((flags & has_modules) != 0)
        if (Outcome const read{read_modules(memory, info, out)}; !read)
            return read;
    if ((flags & has_mmap) != 0)
        return read_mmap(memory, info, out);
    if ((flags & has_memory) != 0)
        return add_basic_memory(out, at.value(), load<std::uint32_t>(info, mem_lower),
                                load<std::uint32_t>(info, mem_upper));
    return bad(at.value(), "the loader gives no memory map");
}

} // namespace mb1

// --- multiboot 2

namespace mb2 {

enum class Tag : std::uint32_t {
    end = 0,
    command_line = 1,
    loader_name = 2,
    module = 3,
    basic_memory = 4,
    memory_map = 6,
    rsdp_old = 14,
    rsdp_new = 15,
};

constexpr std::size_t header = 8; // of the info block and of each tag
constexpr std::size_t smallest_region = 24;

Outcome read_mmap(Bytes tag, std::uint64_t place, BootInfo& out)
{
    if (tag.size() < 16)
        return bad(place, "the memory map tag is shorter than 16 bytes");
    std::size_t const step{load<std::uint32_t>(tag, 8)};
    if (step < smallest_region)
        return bad(place, "a region of the memory map is shorter than 24 bytes");
    for (std::size_t offset = 16; offset < tag.size(); offset += step) {
        if (!fits(tag, offset, smallest_region))
            return bad(place + offset, "the memory map ends in the middle of a region");
        if (Outcome const added{add_region(out, place + offset, load<std::uint64_t>(tag, offset),
                                           load<std::uint64_t>(tag, offset + 8),
                                           load<std::uint32_t>(tag, offset + 16))};
            !added)
            return added;
    }
    return done;
}

Outcome read_tag(Tag type, Bytes tag, std::uint64_t place, BootInfo& out)
{
    Bytes const body{tag.subspan(header)};
    switch (type) {
    case Tag::end:
        break;
    case Tag::command_line:
        out.command_line = trim_front(as_c_string(body));
        break;
    case Tag::loader_name:
        out.loader = as_c_string(body);
        break;
    case Tag::module:
        if (body.size() < 8)
            return bad(place, "a module tag is shorter than 16 bytes");
        return set_module(out, place, load<std::uint32_t>(body, 0), load<std::uint32_t>(body, 4),
                          trim_front(as_c_string(body.subspan(8))));
    case Tag::basic_memory: // Read afterwards, and only if there is no map.
        break;
    case Tag::memory_map:
        return read_mmap(tag, place, out);
    case Tag::rsdp_old:
        if (out.rsdp.empty())
            out.rsdp = body;
        break;
    case Tag::rsdp_new: // Has the XSDT: wins over the old one, wherever it stands.
        out.rsdp = body;
        break;
    }
    return done; // What is none of these tags says nothing that we need.
}

Outcome parse(PhysAddr at, PhysicalMemory memory, BootInfo& out)
{
    Bytes const start{memory.read(at, header)};
    if (start.empty())
        return bad(at.value(), "the info block is not in readable memory");
    std::uint32_t const size{load<std::uint32_t>(start, 0)};
    if (size < header || size > largest_info)
        return bad(at.value(), "the size of the info block is not between 8 bytes and 1 MiB");
    Bytes const info{memory.read(at, size)};
    if (info.empty())
        return bad(at.value(), "the info block is not in readable memory");
    if (Outcome const kept{occupy(out, at, size)}; !kept)
        return kept;

    Bytes basic_memory;
    for (std::size_t offset = header; fits(info, offset, header);) {
        std::uint64_t const place{at.value() + offset};
        Tag const type{load<std::uint32_t>(info, offset)};
        std::size_t const length{load<std::uint32_t>(info, offset + 4)};
        if (length < header || !fits(info, offset, length))
            return bad(place, "a tag is shorter than its header or runs past the end of the info block");
        Bytes const tag{part(info, offset, length)};
        if (type == Tag::end) {
            if (!out.regions.empty())
                return done;
            if (basic_memory.size() < 16)
                return bad(at.value(), "the loader gives no memory map");
            return add_basic_memory(out, at.value(), load<std::uint32_t>(basic_memory, 8),
                                    load<std::uint32_t>(basic_memory, 12));
        }
        if (type == Tag::basic_memory)
            basic_memory = tag;
        if (Outcome const read{read_tag(type, tag, place, out)}; !read)
            return read;
        offset += (length + 7) & ~std::size_t{7};
    }
    return bad(at.value(), "the list of tags has no end");
}

} // namespace mb2

} // namespace

Status<ParseError> parse_multiboot(std::uint32_t magic, PhysAddr info, PhysicalMemory memory, BootInfo& out)
{
    out.loader = {};
    out.command_line = {};
    out.regions.clear();
    out.module.reset();
    out.rsdp = {};
    out.occupied.clear();
    if (magic == multiboot1_magic || magic == multiboot2_magic) {
        Outcome const parsed{magic == multiboot1_magic ? mb1::parse(info, memory, out)
                                                       : mb2::parse(info, memory, out)};
        return parsed && out.regions.empty() ? bad(info.value(), "the loader's memory map is empty") : parsed;
    }
    return fail(ParseError{.thing = "boot, register EAX",
                           .place = magic,
                           .what = "this is no magic number of multiboot 1 or 2",
                           .fix = ask_loader});
}

} // namespace hv::boot
