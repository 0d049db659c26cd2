#!/usr/bin/env bash
# ImageMagick draws, distorts, composes and writes pictures of many formats, with OpenMP's threads: the pictures must be
# equal to the byte.
# usage: imagemagick.sh HAKMEM_RUN [fast|full]      full: larger pictures
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

image() {
    "${on[@]}" convert -seed 7 "$@"
}

work() {
    local size=$1x$1
    image -size "$size" plasma:red-blue plasma.miff
    image plasma.miff -blur 0x3 -rotate 17 -resize 150% -strip large.png
    image plasma.miff -distort Perspective '0,0 10,20 99,0 90,10 0,99 5,80 99,99 80,90' -strip distorted.jpg
    image plasma.miff -colors 64 -dither FloydSteinberg -strip few.gif
    image -size "$size" xc:white -fill none -stroke black \
        -draw 'circle 50,50 80,80 line 0,0 90,90 bezier 0,0 9,90 90,9 70,70' -strip drawn.png
    image large.png drawn.png -gravity center -compose multiply -composite -strip composed.tiff
    image plasma.miff -fft -delete 1 -depth 16 -strip fourier.png
    image plasma.miff -morphology Dilate Disk:3 -canny 0x1+10%+30% -strip edges.pbm
    image large.png -crop 300x300 +repage -append -strip tiles.bmp
    image -delay 10 plasma.miff large.png drawn.png -coalesce -layers optimize -strip moving.gif
    "${on[@]}" identify -format '%f %m %wx%h %k %#\n' ./*.{png,jpg,gif,tiff,bmp,pbm}
    # It holds the times of the files.
    rm plasma.miff
}

has_hakmem 1 convert -size 100x100 plasma: null:
if [[ $extent == fast ]]; then
    compare '200 x 200' work 200
else
    compare '1000 x 1000' work 1000
fi
finish
