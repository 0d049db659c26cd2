# A log of made-up lines is taken apart, counted, sorted and put together again. The argument is the number of lines.
use strict;
use warnings;

my $seed = 1;

sub random {
    my ($below) = @_;
    $seed = ($seed * 16807) % 2147483647;
    return $seed % $below;
}

my @lines;
for my $number (1 .. $ARGV[0]) {
    my $path = join '/', map { "part" . random(50) } 1 .. 1 + random(5);
    push @lines, sprintf '10.%d.%d.1 [%d] "GET /%s?id=%d" %d %d', random(9), random(250), $number, $path, random(9999),
        200 + 100 * random(4), random(100_000);
}

my (%bytes_of, %pages_of, @long);
for my $line (@lines) {
    my ($address, $path, $status, $bytes) = $line =~ m{^(\S+) \[\d+\] "GET ([^?"]+)[^"]*" (\d+) (\d+)$} or die $line;
    $bytes_of{$path} += $bytes;
    push @{ $pages_of{$address}{$status} }, $path;
    (my $copy = $line) =~ s/(\d+)/<$1>/g;
    push @long, $copy if length($copy) > 90;
}

my $text = '';
for my $address (sort keys %pages_of) {
    for my $status (sort keys %{ $pages_of{$address} }) {
        $text .= join ',', $address, $status, sort @{ $pages_of{$address}{$status} };
    }
}
my @paths = sort { $bytes_of{$b} <=> $bytes_of{$a} || $a cmp $b } keys %bytes_of;
printf "%d %d %d %s\n", scalar @paths, length $text, length(join '|', reverse @long), $paths[0];
