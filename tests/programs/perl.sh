#!/usr/bin/env bash
# perl works hard: hashes, regular expressions, sorting, closures, forks, interpreters cloned for threads, Storable,
# JSON, zlib, digests. What it prints must be equal to the byte.
# usage: perl.sh HAKMEM_RUN [fast|full]      full: ten times as long
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0

write_script() {
    cat <<'PERL'
use strict; use warnings; use threads; use threads::shared; use Thread::Queue;
use Storable qw(freeze thaw dclone); use JSON::PP; use Compress::Zlib; use Digest::SHA qw(sha256_hex);
use Data::Dumper; use Encode; use Text::Wrap; use Math::BigInt; use List::Util qw(sum reduce shuffle);

my $scale = shift; my $seed = 42;
sub random { $seed = ($seed * 1103515245 + 12345) % 2147483648; int($seed / 65536) % $_[0] }
sub words { join ' ', map { join '', map { chr(97 + random(26)) } 1 .. 2 + random(7) } 1 .. $_[0] }
sub say_digest { my ($what, $text) = @_; print "$what ", length $text, ' ', sha256_hex(encode_utf8($text)), "\n" }

my (%count, @tree);
for my $i (1 .. 40 * $scale) {
    my $text = words(50);
    $count{$_}++ for split ' ', $text;
    my $list = [map { $_ * $i } 1 .. random(20)];
    push @{$tree[$i % 17]{lc substr $text, 0, 2}}, { text => $text, n => $i, list => $list };
    $text =~ s/(\w)(\w*)/\u$2$1ay/g; $text =~ tr/aeiou//d; my @parts = $text =~ /(\w{3,5})(?=\s[A-M])/g;
    $tree[$i % 17]{zz}{parts} .= join ',', @parts;
    delete $tree[random(17)]{zz} if $i % 5 == 0;
}
$Data::Dumper::Sortkeys = $Storable::canonical = 1;
say_digest('words', join ',', map { "$_=$count{$_}" } sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count);
say_digest('dumper', Dumper(\@tree));
my $copy = dclone(\@tree); $copy = thaw(freeze($copy)) for 1 .. 3;
my $json = JSON::PP->new->canonical->pretty; say_digest('json', $json->encode($copy));
say_digest('again', $json->encode($json->decode($json->encode([@{$copy}[0 .. 2]]))));
my $packed = Compress::Zlib::memGzip(Dumper($copy)); say_digest('zlib', Compress::Zlib::memGunzip($packed));
my $power = Math::BigInt->new(7)->bpow(60 * $scale); say_digest('big', $power->bstr);
say_digest('wrapped', wrap('', '  ', words(200 * $scale)));
my $string = '';
for my $i (1 .. 3000 * $scale) {
    $string .= pack('N/a*', $i); substr($string, random(length $string), 3) = '' if $i % 3 == 0;
}
say_digest('string', unpack('H*', $string));
my @closures = map { my $n = $_; sub { $n += shift; $n } } 1 .. 500 * $scale; my $sum = 0;
$sum += $_->(3) for @closures; print "closures $sum\n";

# Children that work on a copy of it all, and answer through pipes.
for my $child (1 .. 2 + $scale) {
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    if (!$pid) { my $mine = dclone($copy); print sha256_hex(Dumper($mine->[$child % 17])); exit 0 }
    print "child $child ", <$pipe>, "\n"; close $pipe or die "child: $?";
}

# Each thread gets a clone of the interpreter, and frees it in the end, with what the others have made.
my ($work, $done) = (Thread::Queue->new, Thread::Queue->new); my %total : shared;
my @threads = map { threads->create(sub {
    while (defined(my $job = $work->dequeue)) {
        my %seen; $seen{$_}++ for map { substr($_, 0, 2) } split ' ', $job->{text};
        { lock %total; $total{$_} = ($total{$_} // 0) + $seen{$_} for keys %seen }
        $done->enqueue({ id => $job->{id}, kinds => scalar keys %seen, text => uc $job->{text} });
    }
}) } 1 .. 3;
$work->enqueue({ id => $_, text => words(100) }) for 1 .. 50 * $scale;
$work->end; $_->join for @threads;
my @results = sort { $a->{id} <=> $b->{id} } map { $done->dequeue_nb } 1 .. 50 * $scale;
say_digest('threads', join "\n", map { "$_->{id} $_->{kinds} $_->{text}" } @results);
say_digest('total', join ',', map { "$_=$total{$_}" } sort keys %total);
PERL
}

work() {
    write_script >work.pl
    "${on[@]}" perl work.pl "$1"
    # What perl has made of it, without the addresses.
    "${on[@]}" perl -MO=Concise work.pl 1 2>&1 | sed 's/0x[0-9a-f]*//g' | sha256sum
}

has_hakmem 1 perl -e 'print "x" x 1e6'
if [[ $extent == fast ]]; then
    compare 'once' work 2
else
    compare 'ten times as long' work 20
fi
finish
