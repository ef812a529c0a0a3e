// hnswlib as a benchmark peer: one long-lived process that speaks the line
// protocol of bench/peers/README.md. Compile:
//   g++ -std=c++17 -O3 -march=native -pthread hnswlib.cpp -o hnswlib-runner
// with -DFILTER when the headers are 0.7 or newer (they have filter functors).
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <malloc.h>
#include <unistd.h>
#include <vector>

namespace {

struct Matrix {
    uint32_t rows = 0, cols = 0;
    std::vector<float> data;
    const float* row(size_t i) const { return data.data() + i * cols; }
};

Matrix read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    Matrix m;
    in.read(reinterpret_cast<char*>(&m.rows), 4);
    in.read(reinterpret_cast<char*>(&m.cols), 4);
    if (!in) throw std::runtime_error("cannot read " + path);
    m.data.resize(size_t(m.rows) * m.cols);
    in.read(reinterpret_cast<char*>(m.data.data()), std::streamsize(m.data.size() * 4));
    if (!in) throw std::runtime_error("cut short: " + path);
    return m;
}

double wall() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

long resident() {  // bytes, once freed memory has gone back to the system
    malloc_trim(0);
    std::ifstream in("/proc/self/statm");
    long total = 0, pages = 0;
    in >> total >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string word; std::getline(in, word, '\t');) out.push_back(word);
    return out;
}

#ifdef FILTER
struct Flags : hnswlib::BaseFilterFunctor {
    std::vector<uint8_t> allowed;
    bool operator()(hnswlib::labeltype id) override { return allowed[id] != 0; }
};
#endif

struct Runner {
    Matrix base, queries;
    std::unique_ptr<hnswlib::SpaceInterface<float>> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
#ifdef FILTER
    Flags flags;
#endif

    std::string load(const std::vector<std::string>& a) {
        base = read(a.at(1));
        queries = read(a.at(2));
        if (a.at(3) == "l2")
            space = std::make_unique<hnswlib::L2Space>(base.cols);
        else if (a.at(3) == "ip")
            space = std::make_unique<hnswlib::InnerProductSpace>(base.cols);
        else
            throw std::runtime_error("metric " + a.at(3));
        return "";
    }

    std::string build(const std::vector<std::string>& a) {
        size_t m = std::stoul(a.at(1)), ef = std::stoul(a.at(2)), threads = std::stoul(a.at(3));
        graph.reset();
        long before = resident();
        double w = wall(), c = cpu(CLOCK_PROCESS_CPUTIME_ID);
        graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), base.rows, m, ef);
        graph->addPoint(base.row(0), 0);
        std::atomic<size_t> next{1};
        std::vector<std::thread> pool;
        for (size_t t = 0; t < threads; t++)
            pool.emplace_back([&] {
                for (size_t i; (i = next.fetch_add(1)) < base.rows;) graph->addPoint(base.row(i), i);
            });
        for (auto& t : pool) t.join();
        std::ostringstream out;
        out << "wall=" << wall() - w << "\tcpu=" << cpu(CLOCK_PROCESS_CPUTIME_ID) - c
            << "\tbytes=" << resident() - before << "\tmemory=rss";
        return out.str();
    }

    // filter <path of one byte per base row | ->
    std::string filter(const std::vector<std::string>& a) {
#ifdef FILTER
        flags.allowed.clear();
        if (a.at(1) == "-") return "";
        std::ifstream in(a.at(1), std::ios::binary);
        flags.allowed.assign(std::istreambuf_iterator<char>(in), {});
        if (flags.allowed.size() != base.rows) throw std::runtime_error("a flag per row is wanted");
        return "";
#else
        (void)a;
        throw std::runtime_error("these hnswlib headers have no filter functor; use 0.7 or newer");
#endif
    }

#ifdef FILTER
    long opened = 0;  // resident memory before the graph

    // open <m> <ef> <capacity>: an empty graph whose deleted slots are used again
    std::string open(const std::vector<std::string>& a) {
        graph.reset();
        opened = resident();
        graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), std::stoul(a.at(3)), std::stoul(a.at(1)),
                                                                  std::stoul(a.at(2)), 100, true);
        return "";
    }

    static std::vector<uint32_t> words(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        std::vector<char> raw{std::istreambuf_iterator<char>(in), {}};
        std::vector<uint32_t> out(raw.size() / 4);
        std::copy_n(raw.data(), out.size() * 4, reinterpret_cast<char*>(out.data()));
        return out;
    }

    // add <path of pairs label, base row> <threads>
    std::string add(const std::vector<std::string>& a) {
        auto pairs = words(a.at(1));
        size_t threads = std::stoul(a.at(2));
        double w = wall(), c = cpu(CLOCK_PROCESS_CPUTIME_ID);
        std::atomic<size_t> next{0};
        std::atomic<bool> failed{false};
        std::vector<std::thread> pool;
        for (size_t t = 0; t < threads; t++)
            pool.emplace_back([&] {
                for (size_t i; (i = next.fetch_add(1)) < pairs.size() / 2;) try {
                        graph->addPoint(base.row(pairs[2 * i + 1]), pairs[2 * i], true);
                    } catch (const std::exception&) {
                        failed = true;
                    }
            });
        for (auto& t : pool) t.join();
        if (failed) throw std::runtime_error("addPoint failed");
        std::ostringstream out;
        out << "wall=" << wall() - w << "\tcpu=" << cpu(CLOCK_PROCESS_CPUTIME_ID) - c;
        return out.str();
    }

    // drop <path of labels>
    std::string drop(const std::vector<std::string>& a) {
        auto labels = words(a.at(1));
        double w = wall(), c = cpu(CLOCK_PROCESS_CPUTIME_ID);
        for (auto l : labels) graph->markDelete(l);
        std::ostringstream out;
        out << "wall=" << wall() - w << "\tcpu=" << cpu(CLOCK_PROCESS_CPUTIME_ID) - c;
        return out.str();
    }

    // self <k> <ef> <path of pairs>: how many rows find their own label
    std::string self(const std::vector<std::string>& a) {
        auto pairs = words(a.at(3));
        graph->setEf(std::stoul(a.at(2)));
        size_t n = 0;
        for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
            auto found = graph->searchKnn(base.row(pairs[i + 1]), std::stoul(a.at(1)));
            bool hit = !found.empty() && found.top().first == 0;  // that many copies of the row
            for (; !found.empty(); found.pop()) hit = hit || found.top().second == pairs[i];
            n += hit;
        }
        return "found=" + std::to_string(n);
    }

    std::string memory(const std::vector<std::string>&) { return "bytes=" + std::to_string(resident() - opened); }
#endif

    // search <k> <ef> <path of ids as ibin | -> [first query, count]
    std::string search(const std::vector<std::string>& a) {
        size_t k = std::stoul(a.at(1)), first = 0, n = queries.rows;
        if (a.size() > 5) first = std::stoul(a[4]), n = std::stoul(a[5]);
        if (first + n > queries.rows) throw std::runtime_error("queries out of range");
        graph->setEf(std::stoul(a.at(2)));
        std::vector<int32_t> ids(n * k, -1);
        double w = wall(), c = cpu(CLOCK_THREAD_CPUTIME_ID);
        for (size_t i = 0; i < n; i++) {
#ifdef FILTER
            auto found = graph->searchKnn(queries.row(first + i), k, flags.allowed.empty() ? nullptr : &flags);
#else
            auto found = graph->searchKnn(queries.row(first + i), k);
#endif
            while (!found.empty()) {  // farthest first
                ids[i * k + found.size() - 1] = int32_t(found.top().second);
                found.pop();
            }
        }
        w = wall() - w;
        c = cpu(CLOCK_THREAD_CPUTIME_ID) - c;
        if (a.at(3) != "-") {
            std::ofstream out(a[3], std::ios::binary);
            uint32_t head[2] = {uint32_t(n), uint32_t(k)};
            out.write(reinterpret_cast<char*>(head), 8);
            out.write(reinterpret_cast<char*>(ids.data()), std::streamsize(ids.size() * 4));
            if (!out) throw std::runtime_error("cannot write " + a[3]);
        }
        std::ostringstream out;
        out << "wall=" << w << "\tcpu=" << c;
        return out.str();
    }

    std::string answer(const std::string& line) {
        auto a = split(line);
        if (a.empty()) throw std::runtime_error("empty line");
        if (a[0] == "load") return load(a);
        if (a[0] == "build") return build(a);
        if (a[0] == "filter") return filter(a);
        if (a[0] == "search") return search(a);
#ifdef FILTER
        if (a[0] == "open") return open(a);
        if (a[0] == "add") return add(a);
        if (a[0] == "drop") return drop(a);
        if (a[0] == "self") return self(a);
        if (a[0] == "memory") return memory(a);
#endif
        throw std::runtime_error("unknown verb " + a[0]);
    }
};

}  // namespace

int main() {
    Runner runner;
    std::cout << "ok\tready" << std::endl;
    for (std::string line; std::getline(std::cin, line) && line != "quit";) {
        try {
            std::string answer = runner.answer(line);
            std::cout << "ok\t" << answer << std::endl;
        } catch (const std::exception& e) {
            std::cout << "error\t" << e.what() << std::endl;
        }
    }
}
